from .enlightengan_editor import EnlightenGANEditor
from .enlightengan_net import EnlightenGANNet

__all__ = ['EnlightenGANEditor', 'EnlightenGANNet']

from .drbn import DRBNNet
from .skf_editor import SKFEditor

__all__ = ['DRBNNet', 'SKFEditor']

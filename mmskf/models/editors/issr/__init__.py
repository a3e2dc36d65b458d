from .issr_editor import ISSREditor
from .issr_net import ISSRNet

__all__ = ['ISSREditor', 'ISSRNet']

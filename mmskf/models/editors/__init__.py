from .drbn import DRBNNet
from .skf_editor import SKFEditor
from .snr import SNRNet

__all__ = ['DRBNNet', 'SKFEditor', 'SNRNet']

from .drbn import DRBNNet
from .hwmnet import HWMNet
from .skf_editor import SKFEditor

__all__ = ['DRBNNet', 'HWMNet', 'SKFEditor']

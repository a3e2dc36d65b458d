from .kind_editor import KinDEditor
from .kind_net import KinDNet

__all__ = ['KinDEditor', 'KinDNet']

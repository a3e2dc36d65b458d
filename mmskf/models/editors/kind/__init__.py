from .kind_editor import KinDEditor
from .kind_net import KinD

__all__ = ['KinD', 'KinDEditor']

from .drbn import DRBNNet
from .kind import KinD, KinDEditor
from .kindpp import KinDPlusPlus
from .retinexnet import RetinexNet
from .skf_editor import SKFEditor
from .staged_editor import StagedEditor

__all__ = ['DRBNNet', 'KinD', 'KinDEditor', 'KinDPlusPlus', 'RetinexNet', 'SKFEditor', 'StagedEditor']

from .drbn import DRBNNet
from .hwmnet import HWMNet
from .kind import KinD, KinDEditor
from .kindpp import KinDPlusPlus
from .llflow import FlowOutputs, LLFlow, LLFlowNet
from .retinexnet import RetinexNet
from .skf_editor import SKFEditor
from .snr import SNRNet
from .staged_editor import StagedEditor

__all__ = [
    'DRBNNet', 'FlowOutputs', 'HWMNet', 'KinD', 'KinDEditor', 'KinDPlusPlus', 'LLFlow', 'LLFlowNet', 'RetinexNet',
    'SKFEditor', 'SNRNet', 'StagedEditor'
]

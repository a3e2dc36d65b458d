from .drbn import DRBNNet
from .hwmnet import HWMNet
from .kind import KinD
from .kindpp import KinDPlusPlus
from .llflow import FlowOutputs, LLFlow, LLFlowNet
from .retinexnet import RetinexNet
from .skf_editor import SKFEditor
from .snr import SNRNet

__all__ = [
    'DRBNNet', 'FlowOutputs', 'HWMNet', 'KinD', 'KinDPlusPlus', 'LLFlow', 'LLFlowNet', 'RetinexNet', 'SKFEditor',
    'SNRNet'
]

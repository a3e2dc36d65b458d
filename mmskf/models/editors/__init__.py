from .drbn import DRBNNet
from .hwmnet import HWMNet
from .llflow import FlowOutputs, LLFlow, LLFlowNet
from .skf_editor import SKFEditor
from .snr import SNRNet

__all__ = ['DRBNNet', 'FlowOutputs', 'HWMNet', 'LLFlow', 'LLFlowNet', 'SKFEditor', 'SNRNet']

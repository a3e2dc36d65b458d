from .drbn import DRBNNet
from .llflow import FlowOutputs, LLFlow, LLFlowNet
from .skf_editor import SKFEditor

__all__ = ['DRBNNet', 'FlowOutputs', 'LLFlow', 'LLFlowNet', 'SKFEditor']

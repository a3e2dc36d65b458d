from .llflow import LLFlow
from .llflow_net import FlowOutputs, LLFlowNet

__all__ = ['FlowOutputs', 'LLFlow', 'LLFlowNet']

from .llflow_editor import LLFlowEditor
from .llflow_net import FlowOutputs, LLFlowNet

__all__ = ['FlowOutputs', 'LLFlowEditor', 'LLFlowNet']

from .llflow_net import FlowOutputs, LLFlowNet

__all__ = ['FlowOutputs', 'LLFlowNet']

from .drbn import DRBNNet
from .llflow import LLFlow, LLFlowNet
from .skf_editor import SKFEditor

__all__ = ['DRBNNet', 'LLFlow', 'LLFlowNet', 'SKFEditor']

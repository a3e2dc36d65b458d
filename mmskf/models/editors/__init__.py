from .drbn import DRBNNet
from .llflow import LLFlowNet
from .skf_editor import SKFEditor

__all__ = ['DRBNNet', 'LLFlowNet', 'SKFEditor']

from .drbn import DRBNNet
from .skf_editor import SKFEditor
from .staged_editor import StagedEditor

__all__ = ['DRBNNet', 'SKFEditor', 'StagedEditor']

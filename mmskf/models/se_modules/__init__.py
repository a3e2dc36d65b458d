from .se_module import SEModule
from .se_module_list import SEModuleList

__all__ = ['SEModule', 'SEModuleList']

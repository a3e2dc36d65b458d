from .se_module_list import SEModuleList

__all__ = ['SEModuleList']

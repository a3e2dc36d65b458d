"""The former name of :mod:`mmskf.models.se_modules`, for code that imports from here."""
from mmskf.models.se_modules import SEModule, SEModuleList

__all__ = ['SEModule', 'SEModuleList']

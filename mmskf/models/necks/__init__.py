from .se_module import SEModule

__all__ = ['SEModule']

"""Semantic-aware knowledge guidance (SKF) for low-light image enhancement, on OpenMMLab."""
from . import compat
from .setup_env import register_all_modules
from .version import __version__

compat.apply_all()

__all__ = ['__version__', 'register_all_modules']

"""Semantic-aware knowledge guidance (SKF) for low-light image enhancement, on OpenMMLab."""
from importlib.util import find_spec

from .setup_env import register_all_modules
from .version import __version__

if find_spec('mmengine'):  # absent in the light installation, which only runs exported models
    from . import compat
    compat.apply_all()

__all__ = ['__version__', 'register_all_modules']

"""Helpers for images, files and options, and what mmengine's hub looks for here."""
from mmskf.setup_env import register_all_modules

__all__ = ['register_all_modules']

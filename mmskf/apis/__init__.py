from .config import config_root, find_config, list_models, load_config, use_amp
from .model import init_model, load_weights

__all__ = ['config_root', 'find_config', 'init_model', 'list_models', 'load_config', 'load_weights', 'use_amp']

from .config import config_root, find_config, list_models, load_config, train_dataloader, use_amp, use_unpaired
from .inferencer import DEFAULT_MODEL, Result, SKFInferencer
from .model import init_model, load_weights

__all__ = [
    'DEFAULT_MODEL', 'Result', 'SKFInferencer', 'config_root', 'find_config', 'init_model', 'list_models', 'load_config',
    'load_weights',
    'train_dataloader', 'use_amp', 'use_unpaired'
]

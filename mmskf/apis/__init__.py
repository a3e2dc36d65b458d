from mmskf.utils.image_folder import VIDEO_EXTENSIONS
from mmskf.utils.photos import Result

from .config import (
    config_root,
    find_config,
    indexed_weights,
    list_models,
    load_config,
    train_dataloader,
    use_amp,
    use_unpaired,
)
from .image_enhancer import ImageEnhancer
from .inferencer import DEFAULT_MODEL, SKFInferencer
from .model import has_weights, init_model, load_weights
from .video import enhance_video, video_suffix

__all__ = [
    'DEFAULT_MODEL',
    'VIDEO_EXTENSIONS',
    'ImageEnhancer',
    'Result',
    'SKFInferencer',
    'config_root',
    'enhance_video',
    'find_config',
    'has_weights',
    'indexed_weights',
    'init_model',
    'list_models',
    'load_config',
    'load_weights',
    'train_dataloader',
    'use_amp',
    'use_unpaired',
    'video_suffix'
]

"""Data pipeline steps that mmcv and mmagic lack."""
from .crop import RandomCrop
from .enhance import Darken, EnhanceLowLight
from .equalize import AppendEqualized
from .loading import LoadImage, decode_image, to_rgb8
from .stretch import StretchRange

__all__ = [
    'AppendEqualized', 'Darken', 'EnhanceLowLight', 'LoadImage', 'RandomCrop', 'StretchRange', 'decode_image', 'to_rgb8'
]

"""Data pipeline steps that mmcv and mmagic lack, or that photos need without the seconds of importing mmagic."""
from .crop import RandomCrop
from .enhance import Darken, EnhanceLowLight
from .equalize import AppendEqualized
from .loading import LoadImage, decode_image, to_rgb8
from .pack import PackInputs
from .stretch import StretchRange

__all__ = [
    'AppendEqualized', 'Darken', 'EnhanceLowLight', 'LoadImage', 'PackInputs', 'RandomCrop', 'StretchRange', 'decode_image',
    'to_rgb8'
]

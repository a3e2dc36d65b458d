"""Data pipeline steps that mmcv and mmagic lack."""
from .crop import RandomCrop
from .equalize import AppendEqualized
from .loading import LoadImage, decode_image, to_rgb8
from .stretch import StretchRange

__all__ = ['AppendEqualized', 'LoadImage', 'RandomCrop', 'StretchRange', 'decode_image', 'to_rgb8']

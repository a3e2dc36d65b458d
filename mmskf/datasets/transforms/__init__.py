from .crop import RandomCrop
from .equalize import AppendEqualized
from .loading import LoadImage, decode_image, to_rgb8

__all__ = ['AppendEqualized', 'LoadImage', 'RandomCrop', 'decode_image', 'to_rgb8']

from .crop import RandomCrop
from .loading import LoadImage, decode_image, to_rgb8
from .stretch import StretchRange

__all__ = ['LoadImage', 'RandomCrop', 'StretchRange', 'decode_image', 'to_rgb8']

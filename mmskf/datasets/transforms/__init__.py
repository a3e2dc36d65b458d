from .crop import RandomCrop
from .loading import LoadImage, decode_image, to_rgb8

__all__ = ['LoadImage', 'RandomCrop', 'decode_image', 'to_rgb8']

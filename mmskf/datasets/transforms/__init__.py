from .crop import RandomCrop
from .loading import LoadImage, decode_image

__all__ = ['LoadImage', 'RandomCrop', 'decode_image']

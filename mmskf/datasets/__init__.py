"""Data sets of low-light images, transforms, and low-light images made from ordinary photos."""
from mmagic.datasets.basic_image_dataset import IMG_EXTENSIONS

from .enhancement_dataset import EnhancementDataset
from .low_light_synthesis import darken, expose, linear_to_srgb, srgb_to_linear
from .transforms import AppendEqualized, LoadImage, RandomCrop, StretchRange, decode_image, to_rgb8

__all__ = [
    'IMG_EXTENSIONS', 'AppendEqualized', 'EnhancementDataset', 'LoadImage', 'RandomCrop', 'StretchRange', 'darken',
    'decode_image', 'expose', 'linear_to_srgb', 'srgb_to_linear', 'to_rgb8'
]

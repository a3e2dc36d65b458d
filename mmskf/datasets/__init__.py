from .enhancement_dataset import IMG_EXTENSIONS, EnhancementDataset
from .low_light_synthesis import darken, expose, linear_to_srgb, srgb_to_linear
from .transforms import LoadImage, RandomCrop, decode_image

__all__ = [
    'IMG_EXTENSIONS', 'EnhancementDataset', 'LoadImage', 'RandomCrop', 'darken', 'decode_image', 'expose', 'linear_to_srgb', 'srgb_to_linear'
]

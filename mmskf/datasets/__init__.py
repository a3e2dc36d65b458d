from mmskf.utils.image import linear_to_srgb, srgb_to_linear
from mmskf.utils.image_folder import IMG_EXTENSIONS

from .enhancement_dataset import EnhancementDataset
from .low_light_synthesis import darken, expose
from .transforms import AppendEqualized, LoadImage, RandomCrop, StretchRange, decode_image, to_rgb8

__all__ = [
    'IMG_EXTENSIONS', 'AppendEqualized', 'EnhancementDataset', 'LoadImage', 'RandomCrop', 'StretchRange', 'darken',
    'decode_image', 'expose', 'linear_to_srgb', 'srgb_to_linear', 'to_rgb8'
]

"""Low-light image data sets, transforms, and low-light images synthesized from ordinary photos."""
from mmskf.utils.image import linear_to_srgb, srgb_to_linear
from mmskf.utils.image_folder import IMG_EXTENSIONS

from .enhancement_dataset import EnhancementDataset
from .low_light_synthesis import darken, expose
from .transforms import AppendEqualized, Darken, EnhanceLowLight, LoadImage, RandomCrop, StretchRange, decode_image, to_rgb8
from .unpaired import UNPAIRED_SETS, unpaired_sets, unpaired_tests, without_ground_truth
from .unpaired_dataset import UnpairedDataset

__all__ = [
    'IMG_EXTENSIONS', 'UNPAIRED_SETS', 'AppendEqualized', 'Darken', 'EnhanceLowLight', 'EnhancementDataset', 'LoadImage',
    'RandomCrop', 'StretchRange', 'UnpairedDataset', 'darken', 'decode_image', 'expose', 'linear_to_srgb', 'srgb_to_linear',
    'to_rgb8', 'unpaired_sets', 'unpaired_tests', 'without_ground_truth'
]

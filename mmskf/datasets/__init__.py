"""Low-light image data sets, transforms, and low-light images synthesized from ordinary photos."""
from typing import TYPE_CHECKING, Any

from mmskf.utils.image import linear_to_srgb, srgb_to_linear
from mmskf.utils.image_folder import IMG_EXTENSIONS

from .low_light_synthesis import darken, expose
from .transforms import (
    AppendEqualized,
    Darken,
    EnhanceLowLight,
    LoadImage,
    PackInputs,
    RandomCrop,
    StretchRange,
    decode_image,
    to_rgb8,
)
from .unpaired import UNPAIRED_SETS, unpaired_sets, unpaired_tests, without_ground_truth

if TYPE_CHECKING:
    from .enhancement_dataset import EnhancementDataset
    from .unpaired_dataset import UnpairedDataset

__all__ = [
    'IMG_EXTENSIONS', 'UNPAIRED_SETS', 'AppendEqualized', 'Darken', 'EnhanceLowLight', 'EnhancementDataset', 'LoadImage',
    'PackInputs', 'RandomCrop', 'StretchRange', 'UnpairedDataset', 'darken', 'decode_image', 'expose', 'linear_to_srgb',
    'srgb_to_linear', 'to_rgb8', 'unpaired_sets', 'unpaired_tests', 'without_ground_truth'
]


def __getattr__(name: str) -> Any:
    # The data sets are mmagic's, whose import takes seconds: enhancing photos needs none.
    if name == 'EnhancementDataset':
        from .enhancement_dataset import EnhancementDataset
        return EnhancementDataset
    if name == 'UnpairedDataset':
        from .unpaired_dataset import UnpairedDataset
        return UnpairedDataset
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

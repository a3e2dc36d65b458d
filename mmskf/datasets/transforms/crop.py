from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from mmskf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Crops the same random square from all images of a sample; mmagic's ``FixedCrop`` would silently crop less from a
    small image, and the batch could not be stacked.

    Modified Keys:

    - the keys

    Added Keys:

    - [KEY]_crop_bbox: left, top, width, height

    Args:
        keys (Sequence[str]): Images of the same size, (H, W, C) each.
        crop_size (int): Side of the square, in pixels.

    Raises:
        ValueError: If an image is smaller than the square, or the images differ in size; names the file.
    """

    def __init__(self, keys: Sequence[str], crop_size: int) -> None:
        self.keys, self.crop_size = keys, crop_size

    def transform(self, results: dict) -> dict:
        """Crops the images."""
        height, width = results[self.keys[0]].shape[:2]
        size = self.crop_size
        if min(height, width) < size:
            raise ValueError(
                f'{results[f"{self.keys[0]}_path"]} is {width}x{height} (width x height), smaller than the crop of '
                f'{size}x{size}: set a smaller crop_size for RandomCrop in the training pipeline, '
                'or remove the image from the data set')
        left, top = np.random.randint(width - size + 1), np.random.randint(height - size + 1)
        for key in self.keys:
            if results[key].shape[:2] != (height, width):
                raise ValueError(f'The images {self.keys[0]} and {key} of {results[f"{self.keys[0]}_path"]} differ in size: '
                                 f'{width}x{height} and {results[key].shape[1]}x{results[key].shape[0]} (width x height)')
            results[key] = results[key][top:top + size, left:left + size]
            results[f'{key}_crop_bbox'] = [left, top, size, size]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(keys={self.keys}, crop_size={self.crop_size})'

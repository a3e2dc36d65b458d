from collections.abc import Sequence

from mmagic.datasets.transforms import FixedCrop

from mmskf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomCrop(FixedCrop):
    """Crops the same random square from all images of a sample; mmagic's ``FixedCrop`` would silently crop less from a
    small image, and the batch could not be stacked.

    Args:
        keys (Sequence[str]): Images of the same size, (H, W, C) each.
        crop_size (int): Side of the square, in pixels.

    Raises:
        ValueError: If an image is smaller than the square; names the file.
    """

    def __init__(self, keys: Sequence[str], crop_size: int) -> None:
        super().__init__(keys, (crop_size, crop_size))

    def transform(self, results: dict) -> dict:
        height, width = results[self.keys[0]].shape[:2]
        if min(height, width) < self.crop_size[0]:
            raise ValueError(
                f'{results[f"{self.keys[0]}_path"]} is {width}x{height} (width x height), smaller than the crop of '
                f'{self.crop_size[1]}x{self.crop_size[0]}: set a smaller crop_size for RandomCrop in the training pipeline, '
                'or remove the image from the data set')
        return super().transform(results)

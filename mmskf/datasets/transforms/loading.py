import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmskf.registry import TRANSFORMS
from mmskf.utils.image import to_rgb8
from mmskf.utils.image_file import PIXEL_LIMIT, read_photo


def decode_image(content: bytes, name: str, pixel_limit: int | None = PIXEL_LIMIT) -> np.ndarray:
    """Decodes an image file in any common format to upright 8-bit sRGB: the pixels of :func:`~mmskf.utils.image_file.read_photo`.

    Args:
        content (bytes): The file.
        name (str): Its name, for the error.
        pixel_limit (int, optional): A file with more pixels is not decoded. Defaults to 2^28; None: no limit.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.

    Raises:
        OSError: If the file is damaged, truncated or not an image.
        ValueError: If the image is not supported: too large, a raw file, or not 8 bits, 16 bits or floats in [0, 1].
    """
    return read_photo(content, name, pixel_limit).pixels


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Loads an image as 8-bit sRGB, whatever its format, and names the file if something is wrong with it.

    For gray, RGBA, 16-bit and float images, and for color profiles, see :func:`~mmskf.utils.image_file.read_photo`.

    Required Keys:

    - [KEY]_path, or [KEY]: an array instead of a file

    Added Keys:

    - [KEY]: uint8 (H, W, 3)
    - ori_[KEY]_shape, [KEY]_channel_order, [KEY]_color_type

    Args:
        key (str): Which image, e.g. 'img' (low light) or 'gt' (normal light).
        same_size_as (str, optional): Key of an image loaded before, which must have the same size. Defaults to None.
        backend_args (dict, optional): Options of mmengine's file client, for files that are not on a disk. Defaults to None.
        pixel_limit (int, optional): A file with more pixels is not decoded. Defaults to 2^28; None: no limit.

    Raises:
        OSError: If the file is damaged, truncated, or not an image.
        ValueError: If the image is not supported (see :func:`decode_image`), or the sizes of the pair differ.
    """

    def __init__(self,
                 key: str,
                 same_size_as: str | None = None,
                 backend_args: dict | None = None,
                 pixel_limit: int | None = PIXEL_LIMIT):
        self.key = key
        self.same_size_as = same_size_as
        self.backend_args = backend_args
        self.pixel_limit = pixel_limit

    def transform(self, results: dict) -> dict:
        path = results.get(f'{self.key}_path')
        if path is None:
            image = to_rgb8(results[self.key], f'The array given as {self.key!r}')
        else:
            image = decode_image(fileio.get(path, backend_args=self.backend_args), path, self.pixel_limit)
        results[self.key] = image
        results[f'ori_{self.key}_shape'] = image.shape
        results[f'{self.key}_channel_order'], results[f'{self.key}_color_type'] = 'rgb', 'color'
        if self.same_size_as is not None:
            self._check_size(results)
        return results

    def _check_size(self, results: dict) -> None:
        height, width = results[self.key].shape[:2]
        other_height, other_width = results[self.same_size_as].shape[:2]
        if (height, width) != (other_height, other_width):
            raise ValueError(f'The two images of a pair differ in size (width x height): '
                             f'{results[f"{self.same_size_as}_path"]} is {other_width}x{other_height}, '
                             f'{results[f"{self.key}_path"]} is {width}x{height}; they must show the same pixels. '
                             'tools/dataset_converters/check_dataset.py lists all such pairs')

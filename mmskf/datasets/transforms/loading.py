import io
import threading

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image, ImageOps, UnidentifiedImageError

from mmskf.registry import TRANSFORMS
from mmskf.utils.image import to_rgb8

# What is decoded, whatever the file is called. Others of Pillow's start programs (EPS: Ghostscript) or are no photographs.
FORMATS = ('BMP', 'GIF', 'JPEG', 'PNG', 'PPM', 'TIFF', 'WEBP')
MAX_PIXELS = 2**28
_pillow = threading.Lock()


def decode_image(content: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes an image file of any common kind to 8-bit RGB, see :func:`to_rgb8`; an orientation in EXIF is applied.

    Pillow decodes, not OpenCV: it refuses a truncated file in every version, where OpenCV, depending on its version, fills
    the missing part with gray.

    Args:
        content (bytes): The file.
        name (str): Its name, for the error.
        max_pixels (int): Larger images are refused before they are decoded: a small file can say that it is of any size.
            Defaults to 2^28, 16384 x 16384.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.

    Raises:
        OSError: If the file is damaged, truncated or no image of :data:`FORMATS`.
        ValueError: If it is too large, or has neither 8 nor 16 bits a channel.
    """
    try:
        with _open(content) as image:
            width, height = image.size
            array = None
            if width * height <= max_pixels:
                upright = ImageOps.exif_transpose(image)
                # Pillow has no conversion that scales: 'I;16' (or 'I', in its older versions) would be clipped at 255.
                # A copy, since flips work in place and the memory of a picture of Pillow is read-only.
                array = np.array(upright if upright.mode[0] in 'IF' else upright.convert('RGB'))
    except UnidentifiedImageError as error:
        raise OSError(f'{name} cannot be read as an image (it is none of {", ".join(FORMATS)}): the file is damaged or '
                      'incomplete, or of another kind; convert it, or take it out of the data set') from error
    # Pillow's decoders each raise their own: SyntaxError for a broken PNG, struct.error, EOFError...
    except Exception as error:
        raise OSError(f'{name} cannot be read as an image ({error}): the file is damaged or incomplete; copy it again from '
                      'where it came, or take it out of the data set') from error
    if array is None:
        raise ValueError(f'{name} is {width}x{height}, {width * height:,} pixels, and the limit is {max_pixels:,}: a small file '
                         'can say so by mistake or to do harm; where it is right, raise max_pixels of LoadImage')
    return to_rgb8(array, name)


def _open(content: bytes) -> Image.Image:
    """Reads the header of an image of a listed format, without Pillow's own limit of size, which no option reaches."""
    with _pillow:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(content), formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Loads one image as 8-bit RGB, whatever kind of file it is in, and names the file when something is wrong with it.

    What happens to gray, RGBA and 16-bit images: :func:`to_rgb8`.

    Required Keys:

    - [KEY]_path, or [KEY]: an array in place of a file

    Added Keys:

    - [KEY]: uint8 (H, W, 3)
    - ori_[KEY]_shape, [KEY]_channel_order, [KEY]_color_type

    Args:
        key (str): Which image, e.g. 'img' (low light) or 'gt' (normal light).
        same_size_as (str, optional): Key of an image loaded before; this one must have its size. Defaults to None.
        backend_args (dict, optional): Where mmengine's file client finds the file, if not on a disk. Defaults to None.
        max_pixels (int): Files with larger images are refused, see :func:`decode_image`. Defaults to 2^28.

    Raises:
        OSError: If the file is damaged, truncated, or no image.
        ValueError: If the image is too large or has neither 8 nor 16 bits a channel, or the sizes of the pair differ.
    """

    def __init__(self, key: str, same_size_as: str | None = None, backend_args: dict | None = None,
                 max_pixels: int = MAX_PIXELS):
        self.max_pixels = max_pixels
        self.key = key
        self.same_size_as = same_size_as
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        path = results.get(f'{self.key}_path')
        if path is None:
            image = to_rgb8(results[self.key], f'The array given as {self.key!r}')
        else:
            image = decode_image(fileio.get(path, backend_args=self.backend_args), path, self.max_pixels)
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

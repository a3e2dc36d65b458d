import zlib
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmskf.datasets.low_light_synthesis import darken
from mmskf.registry import TRANSFORMS
from mmskf.utils.image import to_uint8


def _checked(image: np.ndarray, step: str) -> np.ndarray:
    """An image of a pipeline as uint8: floats are 0..255, as ``LoadImageFromFile(to_float32=True)`` yields them.

    Raises:
        TypeError: If it has other values.
        ValueError: If it has other channels, or values out of range.
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f'{step} was given an image {image.shape}, expected (H, W, 3): put it right after LoadImageFromFile, '
                         "which reads color images unless its color_type is 'unchanged' or 'grayscale'")
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != 'f':
        raise TypeError(f'{step} was given an image of {image.dtype}, expected uint8, or floats in 0..255')
    if not (image.min() >= 0 and image.max() <= 255):
        raise ValueError(f'{step} was given floats in [{image.min():g}, {image.max():g}], expected 0..255: put it before the '
                         'image is normalized')
    return to_uint8(image)


def _mirrored(image: np.ndarray, channel_order: str) -> np.ndarray:
    return np.ascontiguousarray(image[..., ::-1]) if channel_order == 'bgr' else image


def _check_order(channel_order: str) -> None:
    if channel_order not in ('bgr', 'rgb'):
        raise ValueError(f"channel_order={channel_order!r}: choose 'bgr' (what mmcv reads) or 'rgb'")


@TRANSFORMS.register_module()
class EnhanceLowLight(BaseTransform):
    """Brightens the image in the pipeline of another library: mmdet, mmseg, mmpretrain.

    It comes right after the image is read. In a config of another library, ``custom_imports=dict(imports=['mmskf.datasets'])``
    makes ``type='mmskf.EnhanceLowLight'`` known.

    Required Keys:

    - img: (H, W, 3), uint8, or floats in 0..255, which are rounded

    Modified Keys:

    - img: of the same type

    Args:
        model, weights, device, strength: See :class:`mmskf.apis.ImageEnhancer`.
        channel_order (str): 'bgr', as mmcv reads images, or 'rgb'. Defaults to 'bgr'.

    Raises:
        FileNotFoundError, ValueError: As :class:`mmskf.apis.ImageEnhancer`, or if ``channel_order`` is something else.
    """

    def __init__(self, model: Any = None, weights: str | None = None, device: str = 'cpu', strength: float = 1.,
                 channel_order: str = 'bgr') -> None:
        from mmskf.apis.image_enhancer import ImageEnhancer  # apis need the data sets
        _check_order(channel_order)
        self.enhance = ImageEnhancer(model, weights, device, strength)
        self.channel_order = channel_order

    def transform(self, results: dict) -> dict:
        """Enhances ``results['img']``."""
        pixels = _checked(results['img'], 'EnhanceLowLight')
        image = self.enhance(_mirrored(pixels, self.channel_order))
        results['img'] = _mirrored(image, self.channel_order).astype(results['img'].dtype)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.enhance!r}, channel_order={self.channel_order!r})'


@TRANSFORMS.register_module()
class Darken(BaseTransform):
    """Darkens the image as a camera would see it with less light (:func:`mmskf.datasets.darken`); the same image always alike.

    Required Keys:

    - img: (H, W, 3), uint8, or floats in 0..255, which are rounded
    - img_path: its name is the seed of the noise

    Modified Keys:

    - img: of the same type

    Args:
        exposure (float): Factor on the light.
        channel_order (str): 'bgr', as mmcv reads images, or 'rgb'. Defaults to 'bgr'.
        **sensor: ``gains`` (of red, green and blue), ``full_well`` and ``read_noise`` of :func:`mmskf.datasets.expose`.

    Raises:
        ValueError: If ``channel_order`` is something else.
    """

    def __init__(self, exposure: float, channel_order: str = 'bgr', **sensor: Any) -> None:
        _check_order(channel_order)
        self.exposure, self.channel_order, self.sensor = exposure, channel_order, sensor

    def transform(self, results: dict) -> dict:
        """Darkens ``results['img']``."""
        name = results['img_path'].replace('\\', '/').rpartition('/')[2]
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        pixels = _checked(results['img'], 'Darken')
        image = darken(_mirrored(pixels, self.channel_order), rng, self.exposure, **self.sensor)
        results['img'] = _mirrored(image, self.channel_order).astype(results['img'].dtype)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(exposure={self.exposure}, channel_order={self.channel_order!r})'

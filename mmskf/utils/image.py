"""Image conversions at the boundaries of mmskf: color order, range and 8 bits; docs/images.md has a table of all steps.

Inside the models an image is a tensor (N, 3, H, W), RGB in [0, 1]. mmagic passes tensors (3, H, W), BGR in 0..255, to metrics,
hooks and visualizers; files, users' arrays and metrics use arrays (H, W, 3), RGB in 0..255.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # exported models are run without PyTorch
    from torch import Tensor

LOG_OFFSET = 1e-3
FLOAT_SLACK = 1e-3  # Rounding and resizing may exceed [0, 1] by this much.


def to_float_rgb(image: Tensor) -> np.ndarray:
    """mmagic's image of a data sample as an array, with unchanged values.

    Args:
        image (Tensor): (3, H, W), BGR, 0..255, any dtype and device.

    Returns:
        np.ndarray: (H, W, 3), RGB, float32.
    """
    return image.detach().cpu().float().numpy().transpose(1, 2, 0)[..., ::-1]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds and clips an array with values 0..255 to uint8, as in a saved PNG."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def to_8bit(array: np.ndarray, name: str) -> np.ndarray:
    """Converts the values of an image to 8 bits.

    Of 16 bits the high byte is kept, so that an 8-bit image stored with 16 bits (v * 257) is restored exactly; floats are
    interpreted as 0..1 and rounded.

    Args:
        array (np.ndarray): uint8, uint16, or float in [0, 1].
        name (str): Its name, for the error.

    Returns:
        np.ndarray: uint8, of the same shape.

    Raises:
        ValueError: If it has other values.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == 'u' and array.dtype.itemsize == 2:
        return (array >> 8).astype(np.uint8)
    low, high = (float(array.min()), float(array.max())) if array.size and array.dtype.kind in 'biuf' else (0., 0.)
    if array.dtype.kind == 'f' and -FLOAT_SLACK <= low and high <= 1 + FLOAT_SLACK:
        return to_uint8(array * array.dtype.type(255))
    raise ValueError(f'{name} holds {array.dtype} values in [{low:g}, {high:g}], expected an image of 8 or 16 bits a channel '
                     '(uint8 or uint16), or floats in [0, 1]')


def to_rgb8(array: np.ndarray, name: str) -> np.ndarray:
    """Converts an image array in any common format to 8-bit RGB.

    Gray is replicated over three channels; alpha is dropped without blending. For the values see :func:`to_8bit`.

    Args:
        array (np.ndarray): (H, W), or (H, W, C) with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha).
        name (str): Its name, for the error.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.

    Raises:
        ValueError: If it has another shape or other values.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or not array.size:
        raise ValueError(f'{name} has the shape {array.shape}, expected an image: (H, W), or (H, W, 1, 2, 3 or 4)')
    colors = to_8bit(array[..., :1 if array.shape[2] < 3 else 3], name)
    return np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors


def alpha_of(array: np.ndarray, name: str) -> np.ndarray | None:
    """The alpha channel of an array for :func:`to_rgb8`: uint8 (H, W), or None if it has none."""
    return to_8bit(array[..., -1], name) if array.ndim == 3 and array.shape[2] in (2, 4) else None


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Inverse transfer curve of sRGB (IEC 61966-2-1): display values in [0, 1] to light, 1 being white."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055)**2.4)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Transfer curve of sRGB (IEC 61966-2-1): light, clipped to [0, 1], to display values in [0, 1]."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear**(1 / 2.4) - 0.055)


def swap_rgb(images: Tensor) -> Tensor:
    """RGB to BGR or back: (..., 3, H, W) -> the same shape."""
    return images.flip(-3)


def from_mmagic(images: Tensor) -> Tensor:
    """Images from mmagic's preprocessor in testing, BGR in 0..255, in the models' format: RGB in [0, 1]."""
    return swap_rgb(images) / 255


def to_mmagic(images: Tensor) -> Tensor:
    """The inverse of :func:`from_mmagic`: RGB in [0, 1], unclamped, to BGR in 0..255."""
    return swap_rgb(images) * 255


def log_image(image: Tensor) -> Tensor:
    """An image in [0, 1] in the log domain, as LLFlow and its knowledge bank see it: log(max(x + 1e-3, 1e-3))."""
    return (image + LOG_OFFSET).clamp(min=LOG_OFFSET).log()

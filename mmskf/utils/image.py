"""Images at the borders of mmskf: color order, range and 8 bits; the table of all steps stands in docs/images.md.

Inside the models an image is a tensor (N, 3, H, W), RGB in [0, 1]. What mmagic hands to metrics, hooks and visualizers is a
tensor (3, H, W), BGR in 0..255; files, arrays of users and metrics have arrays (H, W, 3), RGB in 0..255.
"""

import numpy as np
import torch
from torch import Tensor

LOG_OFFSET = 1e-3
FLOAT_SLACK = 1e-3  # What rounding and resizing leave outside of [0, 1].


def to_float_rgb(image: Tensor) -> np.ndarray:
    """mmagic's image of a data sample as an array, with its values as they are.

    Args:
        image (Tensor): (3, H, W), BGR, 0..255, any dtype and device.

    Returns:
        np.ndarray: (H, W, 3), RGB, float32.
    """
    return image.detach().to('cpu', torch.float32).numpy().transpose(1, 2, 0)[..., ::-1]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Rounds and clips an array with values 0..255 to uint8: what a saved PNG holds."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def to_8bit(array: np.ndarray, name: str) -> np.ndarray:
    """Turns the numbers of an image into 8 bits.

    Of 16 bits the high byte is kept, so that an 8-bit image stored with 16 bits (v * 257) comes back as it was; floats are
    taken for 0..1 and rounded.

    Args:
        array (np.ndarray): uint8, uint16, or float in [0, 1].
        name (str): What it is, for the error.

    Returns:
        np.ndarray: uint8, of the same shape.

    Raises:
        ValueError: For other numbers.
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
    """Turns an image array of any common kind into 8-bit RGB.

    Gray is spread over three channels; alpha is dropped without blending. For the numbers see :func:`to_8bit`.

    Args:
        array (np.ndarray): (H, W), or (H, W, C) with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha).
        name (str): What it is, for the error.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.

    Raises:
        ValueError: For other shapes or kinds of numbers.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or not array.size:
        raise ValueError(f'{name} has the shape {array.shape}, expected an image: (H, W), or (H, W, 1, 2, 3 or 4)')
    colors = to_8bit(array[..., :1 if array.shape[2] < 3 else 3], name)
    return np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors


def alpha_of(array: np.ndarray, name: str) -> np.ndarray | None:
    """The alpha channel of an array that :func:`to_rgb8` takes: uint8 (H, W), or None where it has none."""
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
    """What mmagic's preprocessor leaves of images in testing, BGR in 0..255, as the models have it: RGB in [0, 1]."""
    return swap_rgb(images) / 255


def to_mmagic(images: Tensor) -> Tensor:
    """The inverse of :func:`from_mmagic`: RGB in [0, 1], unclamped, to BGR in 0..255."""
    return swap_rgb(images) * 255


def log_image(image: Tensor) -> Tensor:
    """An image in [0, 1] in the logarithmic domain, as LLFlow and its knowledge bank see it: log(max(x + 1e-3, 1e-3))."""
    return torch.log((image + LOG_OFFSET).clamp(min=LOG_OFFSET))

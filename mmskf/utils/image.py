"""Images at the borders of mmskf: color order, range and 8 bits; the table of all steps stands in docs/images.md.

Inside the models an image is a tensor (N, 3, H, W), RGB in [0, 1]. What mmagic hands to metrics, hooks and visualizers is a
tensor (3, H, W), BGR in 0..255; files, arrays of users and metrics have arrays (H, W, 3), RGB in 0..255.
"""
import numpy as np
import torch
from torch import Tensor

LOG_OFFSET = 1e-3


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


def to_rgb8(array: np.ndarray, name: str) -> np.ndarray:
    """Turns an image array of any common kind into 8-bit RGB.

    Gray is spread over three channels; alpha is dropped without blending; of 16 bits the high byte is kept, so that an 8-bit
    image stored with 16 bits (v * 257) comes back as it was.

    Args:
        array (np.ndarray): (H, W) or (H, W, 1, 3 or 4), RGB, integers of 8 or 16 bits.
        name (str): What it is, for the error.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.

    Raises:
        ValueError: For other shapes or kinds of numbers.
    """
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f'{name} has the shape {array.shape}, expected an image: (H, W), or (H, W, 1, 3 or 4)')
    if array.dtype.kind not in 'iu' or (array.size and (array.min() < 0 or array.max() > 65535)):
        raise ValueError(f'{name} holds {array.dtype} values in [{array.min():g}, {array.max():g}], expected an image of 8 or '
                         '16 bits a channel (uint8 or uint16)')
    if array.dtype != np.uint8:
        array = (array >> 8).astype(np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[..., :3]


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

"""Strength of the enhancement: for the whole photo, or per semantic class."""
from collections.abc import Mapping, Sequence
from numbers import Real

import cv2
import numpy as np

from .image import linear_to_srgb, srgb_to_linear

ROWS = 128  # blended at a time: intermediate results take many times the memory of the image
LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255).astype(np.float32)
FEATHER = 0.01  # of the shorter side


def blend(image: np.ndarray, enhanced: np.ndarray, strength: float | np.ndarray) -> np.ndarray:
    """Blends a photo and its enhanced version in linear light, like two successive exposures.

    Args:
        image (np.ndarray): The photo, uint8 (H, W, 3), sRGB.
        enhanced (np.ndarray): (H, W, 3), sRGB, float32 in 0..255.
        strength (float | np.ndarray): Weight of the enhanced version in [0, 1], one for all pixels or one per pixel (H, W).

    Returns:
        np.ndarray: (H, W, 3), sRGB, float32 in 0..255.
    """
    if not isinstance(strength, np.ndarray):
        if strength == 1:
            return enhanced
        strength = np.broadcast_to(np.float32(strength), image.shape[:2])
    result = np.empty_like(enhanced, dtype=np.float32)
    for top in range(0, len(image), ROWS):
        rows = slice(top, top + ROWS)
        share = strength[rows][..., None]
        light = srgb_to_linear(np.clip(enhanced[rows] / np.float32(255), 0, 1))
        result[rows] = 255 * linear_to_srgb((1 - share) * LINEAR[image[rows]] + share * light)
    return result


def strength_map(labels: np.ndarray,
                 classes: Sequence[str],
                 class_strength: Mapping[str, float],
                 strength: float = 1.,
                 feather: float = FEATHER) -> np.ndarray:
    """The strength of each pixel, according to its class; smooth between classes.

    A Gaussian filter over the map of strengths equals the sum of the strengths weighted by the feathered mask of each class.

    Args:
        labels (np.ndarray): Label map (H, W), integers.
        classes (Sequence[str]): Names of the classes.
        class_strength (Mapping[str, float]): Name -> strength in [0, 1].
        strength (float): Strength of the other classes. Defaults to 1.
        feather (float): Standard deviation of the Gaussian, as a fraction of the shorter side. Defaults to 0.01.

    Returns:
        np.ndarray: (H, W), float32.

    Raises:
        TypeError: If ``class_strength`` is no mapping.
        ValueError: If a class is unknown, or a strength is not in [0, 1].
    """
    if not isinstance(class_strength, Mapping):
        raise TypeError(f"class_strength is {class_strength!r}: expected a dict such as {{'sky': 0.2}}")
    unknown = [name for name in class_strength if name not in classes]
    if unknown:
        raise ValueError(f'class_strength names {", ".join(unknown)}, which the knowledge bank does not know: its classes are '
                         f'{", ".join(classes)}')
    for value in (strength, *class_strength.values()):
        check_strength(value)
    table = np.array([class_strength.get(name, strength) for name in classes], np.float32)
    sigma = feather * min(labels.shape)
    strengths = table[labels]
    return cv2.GaussianBlur(strengths, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) if sigma > 0 else strengths


def check_strength(value: float) -> None:
    """Raises ValueError if a strength is not in [0, 1]."""
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f'strength is {value!r}: expected a number from 0 (the unchanged photo) to 1 (fully enhanced)')

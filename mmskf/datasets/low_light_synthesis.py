"""Turns a normal-light photo into what a camera would have captured of the same scene with far less light.

The signal is scaled in linear light, where exposure is a factor, and gets the Poisson-Gaussian noise of an image sensor:
Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008; display values
are converted back to sensor values by a short form (transfer curve only) of Brooks et al., "Unprocessing images for learned raw
denoising", CVPR 2019. Not modeled: a camera's demosaicing, tone curve and denoising, which make real noise blotchy.
"""
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmskf.utils.image import linear_to_srgb, srgb_to_linear


def expose(linear: np.ndarray, rng: np.random.Generator, exposure: float, gains: Sequence[float] = (1., 1., 1.),
           full_well: float = 15000., read_noise: float = 5.) -> np.ndarray:
    """The light that a sensor measures at a fraction ``exposure`` of the photo's own exposure.

    With x = linear * exposure * gains the result has mean x and variance x / full_well + (read_noise / full_well)².

    Args:
        linear (np.ndarray): Light in [0, 1], (H, W, 3).
        rng (np.random.Generator): Source of the noise.
        exposure (float): Factor on the light: 1/32 is five stops less.
        gains (Sequence[float]): Factors on red, green and blue, for light of another color than the camera is balanced for.
            Defaults to (1, 1, 1).
        full_well (float): Electrons of a pixel at white. It decreases with the ISO setting: about 50000 for a large pixel at
            base ISO, some hundreds at the highest. Defaults to 15000.
        read_noise (float): Standard deviation of the read noise, in electrons. Defaults to 5.

    Returns:
        np.ndarray: Light, (H, W, 3), neither clipped nor rounded: noise around black can be negative.
    """
    electrons = linear * exposure * np.asarray(gains) * full_well
    return (rng.poisson(electrons) + rng.normal(0, read_noise, electrons.shape)) / full_well


def darken(image: np.ndarray, rng: np.random.Generator, exposure: float, **sensor: Any) -> np.ndarray:
    """Low-light version of a photo, as a camera would save it: linearized, exposed with noise, and 8-bit again.

    Args:
        image (np.ndarray): uint8 RGB (sRGB), (H, W, 3).
        rng (np.random.Generator): Source of the noise.
        exposure (float): Factor on the light.
        **sensor: ``gains``, ``full_well`` and ``read_noise`` of :func:`expose`.

    Returns:
        np.ndarray: uint8 RGB, (H, W, 3).
    """
    light = expose(srgb_to_linear(image / 255), rng, exposure, **sensor)
    return np.rint(linear_to_srgb(light) * 255).astype(np.uint8)

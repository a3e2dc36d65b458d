"""Outputs of the Retinex methods (RetinexNet, KinD, KinD++, ISSR): an image S is its reflectance R times its illumination I.

R is (N, 3, H, W) and I is (N, 1, H, W), both in [0, 1] unless stated otherwise.
"""
from typing import NamedTuple

from torch import Tensor


class Decomposition(NamedTuple):
    """A low-light and a normal-light image of a scene and their decompositions, for the stage 'decom'."""
    low: Tensor
    high: Tensor
    reflectance_low: Tensor
    illumination_low: Tensor
    reflectance_high: Tensor
    illumination_high: Tensor


class Adjustment(NamedTuple):
    """An illumination map adjusted to a target exposure, and its target, for the stage 'adjust' (KinD)."""
    illumination: Tensor
    target: Tensor


class Relighting(NamedTuple):
    """The enhanced image (N, 3, H, W), unclamped, and its factors; the adjusted illumination is unbounded (RetinexNet)."""
    image: Tensor
    reflectance: Tensor
    illumination: Tensor


class Restoration(NamedTuple):
    """The enhanced image (N, 3, H, W), its restored reflectance and the target of that (KinD); no target in testing."""
    image: Tensor
    reflectance: Tensor
    target: Tensor | None = None


class Segmentation(NamedTuple):
    """Class scores (N, classes, H, W) of a low-light and a normal-light image, for the stage 'segment' (ISSR).

    The labels (N, H, W), int64, are added by the editor.
    """
    low: Tensor
    high: Tensor
    labels: Tensor | None = None


class Exposure(NamedTuple):
    """The enhanced image (N, 3, H, W), unclamped, and the low-light image brightened by the exposure ratio alone (ISSR)."""
    image: Tensor
    brightened: Tensor

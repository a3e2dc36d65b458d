"""What the Retinex methods (RetinexNet, KinD, KinD++) yield: an image S is its reflectance R times its illumination I.

R is (N, 3, H, W) and I is (N, 1, H, W), both in [0, 1] where nothing else is said.
"""
from typing import NamedTuple

from torch import Tensor


class Decomposition(NamedTuple):
    """A low-light and a normal-light image of one scene and what they were taken apart into, for the stage 'decom'."""
    low: Tensor
    high: Tensor
    reflectance_low: Tensor
    illumination_low: Tensor
    reflectance_high: Tensor
    illumination_high: Tensor


class Adjustment(NamedTuple):
    """An illumination brought to another exposure and the one that it should be, for the stage 'adjust' (KinD)."""
    illumination: Tensor
    target: Tensor


class Relighting(NamedTuple):
    """The enhanced image (N, 3, H, W), unclamped, and its factors; the new illumination has no bounds (RetinexNet)."""
    image: Tensor
    reflectance: Tensor
    illumination: Tensor


class Restoration(NamedTuple):
    """The enhanced image (N, 3, H, W), its restored reflectance and what that should be (KinD); no target in testing."""
    image: Tensor
    reflectance: Tensor
    target: Tensor | None = None

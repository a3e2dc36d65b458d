"""Outputs of methods that are trained without pairs, whose losses compare the enhanced image with the input."""
from typing import NamedTuple

from torch import Tensor


class CurveOutputs(NamedTuple):
    """The enhanced image (N, 3, H, W), the curves (N, 3 * curves, H, W) in [-1, 1] that made it, and the input (Zero-DCE)."""
    image: Tensor
    curves: Tensor
    inputs: Tensor


class WindowedOutputs(NamedTuple):
    """The enhanced image (N, 3, H, W), the low-light image, and windows of the batch that are judged besides the whole image:
    (windows, 4), integers: top, bottom, left, right (EnlightenGAN)."""
    image: Tensor
    inputs: Tensor
    windows: Tensor

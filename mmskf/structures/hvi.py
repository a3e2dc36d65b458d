from typing import NamedTuple

from torch import Tensor


class HVIOutputs(NamedTuple):
    """The enhanced image (N, 3, H, W) of HVI-CIDNet and the density k (1, ) of its color space, which the loss uses as well."""
    image: Tensor
    density: Tensor

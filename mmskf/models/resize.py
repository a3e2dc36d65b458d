from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskf.utils.exporting import is_exporting


def resize_nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resizes (N, C, H, W) to a size, by nearest neighbors, also in exported models.

    ONNX divides by the factor where PyTorch multiplies by its inverse: with a factor such as 12 / 10 a coordinate that should be
    a whole number may come out just below it, and the neighbor is another. In an export PyTorch's arithmetic is spelled out.
    """
    if not is_exporting():
        return F.interpolate(x, size=size)
    for axis, length in zip((-2, -1), size):
        one = torch.ones(1, device=x.device)
        step = one * x.shape[axis] / (one * length)
        x = x.index_select(axis, (torch.arange(length, device=x.device) * step).floor().long())
    return x

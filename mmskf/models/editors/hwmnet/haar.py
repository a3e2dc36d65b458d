"""The one-level orthonormal Haar wavelet transform: its inverse is its transpose."""
import torch
from torch import Tensor


def _interleave(even: Tensor, odd: Tensor, dim: int) -> Tensor:
    """Interleaves two tensors along ``dim``, which counts from the end."""
    return torch.stack([even, odd], dim).flatten(dim - 1, dim)


def haar(x: Tensor) -> Tensor:
    """The four subbands of an image or feature map, in HWMNet's order: LL, HL (horizontal), LH (vertical), HH.

    Args:
        x (Tensor): (N, C, H, W), H and W even.

    Returns:
        Tensor: (N, 4 * C, H / 2, W / 2), the C channels of LL first.
    """
    left, right = x[..., 0::2], x[..., 1::2]
    low, high = left + right, right - left
    top, bottom = (torch.cat([low[..., row::2, :], high[..., row::2, :]], dim=1) for row in (0, 1))
    return torch.cat([top + bottom, bottom - top], dim=1) / 2


def inverse_haar(bands: Tensor) -> Tensor:
    """The inverse of :func:`haar`: (N, 4 * C, H, W) -> (N, C, 2 * H, 2 * W)."""
    smooth, detail = bands.chunk(2, dim=1)
    low, high = _interleave(smooth - detail, smooth + detail, dim=-2).chunk(2, dim=1)
    return _interleave(low - high, low + high, dim=-1) / 2

"""Losses between an enhanced image and its ground truth, pixel by pixel; those of mmagic's names give mmagic's numbers."""
import math
from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.registry import MODELS


class PixelLoss(nn.Module):
    """Base class: a weighted mean or sum over all values.

    Args:
        loss_weight (float): Factor. Defaults to 1.
        reduction (str): 'mean' or 'sum'. Defaults to 'mean'.

    Shape:
        Two of (N, C, H, W) -> scalar

    Raises:
        ValueError: If the reduction is unknown.
    """

    def __init__(self, loss_weight: float = 1., reduction: str = 'mean'):
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise ValueError(f"reduction={reduction!r} of {type(self).__name__}: choose 'mean' or 'sum'")
        self.loss_weight, self.reduction = loss_weight, reduction

    @abstractmethod
    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        """The distance of each value: two of (N, C, H, W) -> the same shape."""

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        distance = self.distance(pred, target)
        return self.loss_weight * (distance.mean() if self.reduction == 'mean' else distance.sum())


@MODELS.register_module()
class L1Loss(PixelLoss):
    """The absolute difference; see :class:`PixelLoss`."""

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        """The absolute value of the difference."""
        return F.l1_loss(pred, target, reduction='none')


@MODELS.register_module()
class CharbonnierLoss(PixelLoss):
    """A smooth L1 loss: sqrt(difference² + eps) (Lai et al., CVPR 2017).

    Args:
        loss_weight, reduction: See :class:`PixelLoss`.
        eps (float): Smoothness; a square, so that 1e-6 smooths differences below 1e-3. Defaults to 1e-12.
    """

    def __init__(self, loss_weight: float = 1., reduction: str = 'mean', eps: float = 1e-12):
        super().__init__(loss_weight, reduction)
        self.eps = eps

    def distance(self, pred: Tensor, target: Tensor) -> Tensor:
        """sqrt((pred - target)² + eps)."""
        return torch.sqrt((pred - target)**2 + self.eps)


@MODELS.register_module()
class PSNRLoss(nn.Module):
    """The negative PSNR of images in [0, 1], in dB, averaged over the batch (HINet, Chen et al., CVPRW 2021).

    Args:
        loss_weight (float): Factor. Defaults to 1.

    Shape:
        Two of (N, C, H, W) -> scalar
    """

    def __init__(self, loss_weight: float = 1.):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        error = ((pred - target)**2).mean(dim=(1, 2, 3))
        return self.loss_weight * 10 / math.log(10) * torch.log(error + 1e-8).mean()

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.registry import MODELS


def ssim(x: Tensor, y: Tensor, padding: int = 5) -> Tensor:
    """Mean structural similarity of images in [0, 1], differentiable (Wang et al., 2004).

    Gaussian window of 11x11 pixels with sigma 1.5, K1 = 0.01, K2 = 0.03.

    Args:
        x (Tensor): (N, C, H, W).
        y (Tensor): (N, C, H, W).
        padding (int): Zero padding; with 0 only windows inside the images count. Defaults to 5, one window per pixel.

    Shape:
        (N, C, H, W), (N, C, H, W) -> ()
    """
    channels = x.shape[1]
    taps = torch.exp(-(torch.arange(11, device=x.device, dtype=x.dtype) - 5)**2 / (2 * 1.5**2))
    taps = taps / taps.sum()
    window = torch.outer(taps, taps).expand(5 * channels, 1, 11, 11)
    moments = F.conv2d(torch.cat([x, y, x * x, y * y, x * y], dim=1), window, padding=padding, groups=5 * channels)
    mean_x, mean_y, xx, yy, xy = moments.chunk(5, dim=1)
    var_x, var_y, cov = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return similarity.mean()


@MODELS.register_module()
class SSIMLoss(nn.Module):
    """Negative :func:`ssim`, the loss of DRBN.

    Args:
        loss_weight (float): Weight of the loss. Defaults to 1.
    """

    def __init__(self, loss_weight: float = 1.):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, H, W) in [0, 1] -> ()"""
        # The variances are small differences between large numbers, which half precision would lose.
        with torch.autocast(pred.device.type, enabled=False):
            return -self.loss_weight * ssim(pred.float(), target.float())


@MODELS.register_module()
class PyramidLoss(nn.Module):
    """Sums a loss over outputs at several scales; the target is subsampled to each (DRBN: every 2nd and 4th pixel).

    Args:
        loss (dict): Config of the loss at each scale.
    """

    def __init__(self, loss: dict):
        super().__init__()
        self.loss = MODELS.build(loss)

    def forward(self, preds: Sequence[Tensor], target: Tensor) -> Tensor:
        """[(N, C, H/s, W/s), ...] and (N, C, H, W) -> ()"""
        strides = [target.shape[-1] // pred.shape[-1] for pred in preds]
        return reduce(torch.add, (self.loss(pred, target[..., ::stride, ::stride]) for pred, stride in zip(preds, strides)))

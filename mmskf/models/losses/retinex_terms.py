"""What the losses of the Retinex methods (RetinexNet, KinD, KinD++, ISSR) share, and other losses of several terms."""
from functools import reduce
from typing import Generic, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.structures import Adjustment, Decomposition, Exposure, HVIOutputs, Relighting, Restoration, Segmentation

Outputs = TypeVar('Outputs', Adjustment, Decomposition, Exposure, HVIOutputs, Relighting, Restoration, Segmentation)


def gray(image: Tensor) -> Tensor:
    """RGB (N, 3, H, W) -> grayscale (N, 1, H, W), with TensorFlow's weights (ITU-R BT.601, rounded to four digits)."""
    return torch.einsum('nchw,c->nhw', image, image.new_tensor([0.2989, 0.5870, 0.1140])).unsqueeze(1)


def gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences, computed by a 2x2 kernel on an image with one row and column of zeros appended.

    The kernel is [[0, 0], [-1, 1]] or its transpose, so the value at (y, x) belongs to row y + 1, or to column x + 1:
    TensorFlow's 'SAME' padding of an even kernel pads at the bottom and at the right only.

    Shape:
        (N, C, H, W) -> (N, C, H, W), (N, C, H, W)
    """
    padded = F.pad(image, (0, 1, 0, 1))
    corner = padded[..., 1:, 1:]
    return corner - padded[..., 1:, :-1], corner - padded[..., :-1, 1:]


def shared_reflectance(parts: Decomposition, weight: float) -> dict[str, Tensor]:
    """The terms of every decomposition: each image equals R * I, and both share one R (that term is scaled by ``weight``)."""
    low, high, r_low, i_low, r_high, i_high = parts
    return dict(
        recon_low=F.l1_loss(r_low * i_low, low),
        recon_high=F.l1_loss(r_high * i_high, high),
        equal_reflectance=weight * F.l1_loss(r_low, r_high))


class WeightedTerms(nn.Module, Generic[Outputs]):
    """A loss that logs its terms: subclasses return them weighted and by name, and their sum is minimized.

    No name contains 'loss', since mmengine adds up all losses whose names do.
    """

    def terms(self, outputs: Outputs, gt: Tensor) -> dict[str, Tensor]:
        """The weighted terms of the generator's outputs, a NamedTuple of :mod:`mmskf.structures`, in float32."""
        raise NotImplementedError

    def forward(self, outputs: Outputs, gt: Tensor) -> dict[str, Tensor]:
        """Returns:
            dict[str, Tensor]: 'loss_recon', the sum, and the terms.
        """
        # Most terms compare small differences between adjacent pixels, which half precision would lose.
        with torch.autocast(gt.device.type, enabled=False):
            outputs = type(outputs)._make(
                tensor.float() if tensor is not None and tensor.is_floating_point() else tensor for tensor in outputs)
            terms = self.terms(outputs, gt.float())
        return dict(loss_recon=reduce(torch.add, terms.values()), **terms)

"""What the losses of the Retinex methods (RetinexNet, KinD, KinD++) have in common."""
from typing import Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.structures import Decomposition


def gray(image: Tensor) -> Tensor:
    """(N, 3, H, W), RGB -> (N, 1, H, W), with TensorFlow's weights (ITU-R BT.601, rounded to four digits)."""
    return torch.einsum('nchw,c->nhw', image, image.new_tensor([0.2989, 0.5870, 0.1140])).unsqueeze(1)


def gradients(image: Tensor) -> Tuple[Tensor, Tensor]:
    """Differences to the right and downwards, as a 2x2 kernel takes them from an image with zeros behind its last row and column.

    The kernel is [[0, 0], [-1, 1]] or its transpose, so that the value at (y, x) is that of row y + 1, or of column x + 1:
    TensorFlow's padding of an even kernel, 'SAME', is at the bottom and at the right only.

    Shape:
        (N, C, H, W) -> (N, C, H, W), (N, C, H, W)
    """
    padded = F.pad(image, (0, 1, 0, 1))
    corner = padded[..., 1:, 1:]
    return corner - padded[..., 1:, :-1], corner - padded[..., :-1, 1:]


def shared_reflectance(parts: Decomposition, weight: float) -> Dict[str, Tensor]:
    """What every decomposition is trained for: each image is R * I, and both have the same R (that term times ``weight``)."""
    low, high, r_low, i_low, r_high, i_high = parts
    return dict(
        recon_low=F.l1_loss(r_low * i_low, low),
        recon_high=F.l1_loss(r_high * i_high, high),
        equal_reflectance=weight * F.l1_loss(r_low, r_high))


class WeightedTerms(nn.Module):
    """A loss that shows its terms: subclasses yield them, weighted and by name, and their sum is what is minimised.

    The names go into the log; none has 'loss' in it, since mmengine adds up whatever has.
    """

    def terms(self, outputs, gt: Tensor) -> Dict[str, Tensor]:
        """The weighted terms for what the generator returned, a NamedTuple of :mod:`mmskf.structures`, in float32."""
        raise NotImplementedError

    def forward(self, outputs, gt: Optional[Tensor] = None) -> Dict[str, Tensor]:
        """Returns:
            dict[str, Tensor]: 'loss_recon', the sum, and the terms.
        """
        device = outputs[0].device.type
        # Small differences between neighbours are what most terms are about: half precision would lose them.
        with torch.autocast(device, enabled=False):
            outputs = type(outputs)(*(tensor.float() for tensor in outputs))
            terms = self.terms(outputs, None if gt is None else gt.float())
        return dict(loss_recon=sum(terms.values()), **terms)

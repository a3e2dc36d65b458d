import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmskf.registry import MODELS

if TYPE_CHECKING:
    from mmskf.models.editors.llflow import FlowOutputs


@MODELS.register_module()
class FlowNLLLoss(nn.Module):
    """Negative log-likelihood of images under a normalizing flow, in bits per pixel (LLFlow, AAAI 2022).

    Args:
        loss_weight (float): Defaults to 1.

    Shape:
        outputs of the flow: ``latent`` and the ``mean`` of its Gaussian (N, 3, H, W), ``logdet`` (N,) -> scalar, averaged over
        the batch. The outputs already encode the ground truth.
    """

    def __init__(self, loss_weight: float = 1.):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, outputs: 'FlowOutputs', target: Tensor) -> Tensor:
        # Sums over all pixels would overflow in half precision.
        with torch.autocast(outputs.latent.device.type, enabled=False):
            log_prob = -0.5 * ((outputs.latent - outputs.mean)**2 + math.log(2 * math.pi)).sum(dim=(1, 2, 3))
            pixels = outputs.latent.shape[2] * outputs.latent.shape[3]
            return self.loss_weight * -(outputs.logdet + log_prob).mean() / (math.log(2) * pixels)

from typing import Dict

import torch.nn.functional as F
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import Decomposition, Relighting

from .retinex_terms import WeightedTerms, gradients, gray, shared_reflectance


def structure_aware_smoothness(illumination: Tensor, reflectance: Tensor, steepness: float = 10.) -> Tensor:
    """How much an illumination varies where its reflectance does not (RetinexNet, section 3.2, Eq. 4).

    Args:
        illumination (Tensor): (N, 1, H, W).
        reflectance (Tensor): (N, 3, H, W).
        steepness (float): The lambda_g of the paper. Defaults to 10.

    Returns:
        Tensor: A scalar.
    """
    total = 0
    for of_illumination, of_reflectance in zip(gradients(illumination), gradients(gray(reflectance))):
        blurred = F.avg_pool2d(of_reflectance.abs(), 3, 1, 1, count_include_pad=False)
        total = total + (of_illumination.abs() * (-steepness * blurred).exp()).mean()
    return total


@MODELS.register_module()
class RetinexNetDecomLoss(WeightedTerms):
    """Loss of RetinexNet's decomposition (Wei et al., BMVC 2018, section 3.2): L1 reconstruction of the low-light and the
    normal-light image from each other's factors, one reflectance for both, smooth illuminations.

    Args:
        mutual_weight (float): Of the reconstruction of one image with the other's reflectance. Defaults to 0.001.
        equal_reflectance_weight (float): Defaults to 0.01, as released; the paper says 0.001.
        smooth_weight (float): Defaults to 0.1.
    """

    def __init__(self, mutual_weight: float = 0.001, equal_reflectance_weight: float = 0.01, smooth_weight: float = 0.1):
        super().__init__()
        self.mutual_weight = mutual_weight
        self.equal_reflectance_weight = equal_reflectance_weight
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Decomposition, gt: Tensor) -> Dict[str, Tensor]:
        low, high, r_low, i_low, r_high, i_high = outputs
        return dict(
            **shared_reflectance(outputs, self.equal_reflectance_weight),
            mutual_low=self.mutual_weight * F.l1_loss(r_high * i_low, low),
            mutual_high=self.mutual_weight * F.l1_loss(r_low * i_high, high),
            smooth_low=self.smooth_weight * structure_aware_smoothness(i_low, r_low),
            smooth_high=self.smooth_weight * structure_aware_smoothness(i_high, r_high))


@MODELS.register_module()
class RetinexNetRelightLoss(WeightedTerms):
    """Loss of RetinexNet's relighting (section 3.3): L1 to the ground truth and a smooth new illumination.

    Args:
        smooth_weight (float): Defaults to 3.
    """

    def __init__(self, smooth_weight: float = 3.):
        super().__init__()
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Relighting, gt: Tensor) -> Dict[str, Tensor]:
        smooth = structure_aware_smoothness(outputs.illumination, outputs.reflectance)
        return dict(relight=F.l1_loss(outputs.image, gt), smooth=self.smooth_weight * smooth)

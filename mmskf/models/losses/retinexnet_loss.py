from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import Decomposition, Relighting

from .retinex_terms import WeightedTerms, gradients, gray, shared_reflectance


def structure_aware_smoothness(illumination: Tensor, reflectance: Tensor, steepness: float = 10.) -> Tensor:
    """Penalizes an illumination map for varying where its reflectance is smooth (RetinexNet, section 3.2, Eq. 4).

    Args:
        illumination (Tensor): (N, 1, H, W).
        reflectance (Tensor): (N, 3, H, W).
        steepness (float): The paper's lambda_g. Defaults to 10.

    Returns:
        Tensor: A scalar.
    """
    terms = []
    for of_illumination, of_reflectance in zip(gradients(illumination), gradients(gray(reflectance))):
        blurred = F.avg_pool2d(of_reflectance.abs(), 3, 1, 1, count_include_pad=False)
        terms.append((of_illumination.abs() * (-steepness * blurred).exp()).mean())
    return reduce(torch.add, terms)


@MODELS.register_module()
class RetinexNetDecomLoss(WeightedTerms[Decomposition]):
    """Decomposition loss of RetinexNet (Wei et al., BMVC 2018, section 3.2): L1 reconstruction of the low-light and the
    normal-light image from each other's factors, a shared reflectance, smooth illumination maps.

    Args:
        mutual_weight (float): Weight of reconstructing each image from the other's reflectance. Defaults to 0.001.
        equal_reflectance_weight (float): Weight of the distance between the two reflectances. Defaults to 0.01, as released;
            the paper says 0.001.
        smooth_weight (float): Weight of the smoothness of the illumination maps. Defaults to 0.1.
    """

    def __init__(self, mutual_weight: float = 0.001, equal_reflectance_weight: float = 0.01, smooth_weight: float = 0.1):
        super().__init__()
        self.mutual_weight = mutual_weight
        self.equal_reflectance_weight = equal_reflectance_weight
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Decomposition, gt: Tensor) -> dict[str, Tensor]:
        low, high, r_low, i_low, r_high, i_high = outputs
        return dict(
            **shared_reflectance(outputs, self.equal_reflectance_weight),
            mutual_low=self.mutual_weight * F.l1_loss(r_high * i_low, low),
            mutual_high=self.mutual_weight * F.l1_loss(r_low * i_high, high),
            smooth_low=self.smooth_weight * structure_aware_smoothness(i_low, r_low),
            smooth_high=self.smooth_weight * structure_aware_smoothness(i_high, r_high))


@MODELS.register_module()
class RetinexNetRelightLoss(WeightedTerms[Relighting]):
    """Relighting loss of RetinexNet (section 3.3): L1 to the ground truth, and smoothness of the adjusted illumination.

    Args:
        smooth_weight (float): Weight of the smoothness term. Defaults to 3.
    """

    def __init__(self, smooth_weight: float = 3.):
        super().__init__()
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Relighting, gt: Tensor) -> dict[str, Tensor]:
        smooth = structure_aware_smoothness(outputs.illumination, outputs.reflectance)
        return dict(relight=F.l1_loss(outputs.image, gt), smooth=self.smooth_weight * smooth)

from typing import Dict, List

import torch.nn.functional as F
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import Adjustment, Decomposition, Restoration

from .retinex_terms import WeightedTerms, gradients, gray, shared_reflectance
from .ssim_loss import ssim


def normalized_gradients(image: Tensor, magnitude: bool = True) -> List[Tensor]:
    """Gradients to the right and downwards, each brought to 0..1 by its extremes in the whole batch, as KinD's code has it.

    Args:
        image (Tensor): (N, 1, H, W).
        magnitude (bool): Takes the absolute values first. Defaults to True.

    Returns:
        list[Tensor]: Two of (N, 1, H, W).
    """
    found = [gradient.abs() if magnitude else gradient for gradient in gradients(image)]
    return [(gradient - gradient.amin()) / (gradient.amax() - gradient.amin() + 1e-4) for gradient in found]


def gradient_distance(x: Tensor, y: Tensor, magnitude: bool = True) -> Tensor:
    """Mean squared difference of the :func:`normalized_gradients` of two images (N, 1, H, W), summed over both directions."""
    return sum(F.mse_loss(*pair) for pair in zip(normalized_gradients(x, magnitude), normalized_gradients(y, magnitude)))


def mutual_consistency(low: Tensor, high: Tensor) -> Tensor:
    """Punishes edges that two illuminations (N, 1, H, W) of one scene do not share (KinD, Eq. 2); strong shared ones are free."""
    sums = [sum(pair) for pair in zip(normalized_gradients(low), normalized_gradients(high))]
    return sum((edges * (-10 * edges).exp()).mean() for edges in sums)


def relative_smoothness(illumination: Tensor, image: Tensor) -> Tensor:
    """How much an illumination (N, 1, H, W) varies where its image (N, 3, H, W) does not (KinD, Eq. 3)."""
    pairs = zip(normalized_gradients(illumination), normalized_gradients(gray(image)))
    return sum((of_illumination / of_image.clamp(min=0.01)).abs().mean() for of_illumination, of_image in pairs)


@MODELS.register_module()
class KinDDecomLoss(WeightedTerms):
    """Loss of the decomposition of KinD (Zhang et al., ACM MM 2019, section 3.2) and KinD++.

    Args:
        equal_reflectance_weight (float): Defaults to 0.01, as KinD; KinD++ has 0.009.
        mutual_weight (float): Of the :func:`mutual_consistency` of the illuminations. Defaults to 0.2.
        smooth_weight (float): Of their :func:`relative_smoothness`. Defaults to 0.15.
    """

    def __init__(self, equal_reflectance_weight: float = 0.01, mutual_weight: float = 0.2, smooth_weight: float = 0.15):
        super().__init__()
        self.equal_reflectance_weight = equal_reflectance_weight
        self.mutual_weight = mutual_weight
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Decomposition, gt: Tensor) -> Dict[str, Tensor]:
        low, high, _, i_low, _, i_high = outputs
        return dict(
            **shared_reflectance(outputs, self.equal_reflectance_weight),
            mutual=self.mutual_weight * mutual_consistency(i_low, i_high),
            smooth_low=self.smooth_weight * relative_smoothness(i_low, low),
            smooth_high=self.smooth_weight * relative_smoothness(i_high, high))


@MODELS.register_module()
class KinDAdjustLoss(WeightedTerms):
    """Loss of the illumination adjustment of KinD (section 3.4) and KinD++: squared distance of values and gradients.

    Args:
        magnitude (bool): Compares absolute gradients, as KinD; KinD++ keeps their signs. Defaults to True.
    """

    def __init__(self, magnitude: bool = True):
        super().__init__()
        self.magnitude = magnitude

    def terms(self, outputs: Adjustment, gt: Tensor) -> Dict[str, Tensor]:
        return dict(square=F.mse_loss(*outputs), gradient=gradient_distance(*outputs, self.magnitude))


@MODELS.register_module()
class KinDRestoreLoss(WeightedTerms):
    """Loss of the reflectance restoration of KinD (section 3.3) and KinD++: squared distance, SSIM, gradients of the gray image.

    Args:
        gradient_weight (float): Defaults to 1, as KinD; KinD++ has no such term, 0.
    """

    def __init__(self, gradient_weight: float = 1.):
        super().__init__()
        self.gradient_weight = gradient_weight

    def terms(self, outputs: Restoration, gt: Tensor) -> Dict[str, Tensor]:
        restored, target = outputs.reflectance, outputs.target
        terms = dict(square=F.mse_loss(restored, target), ssim=1 - ssim(restored, target, padding=0))
        if self.gradient_weight:
            terms['gradient'] = self.gradient_weight * gradient_distance(gray(restored), gray(target))
        return terms

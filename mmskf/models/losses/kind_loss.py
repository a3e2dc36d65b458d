from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import Adjustment, Decomposition, Restoration

from .retinex_terms import WeightedTerms, gradients, gray, shared_reflectance
from .ssim_loss import ssim


def normalized_gradients(image: Tensor, magnitude: bool = True) -> list[Tensor]:
    """Horizontal and vertical gradients, each min-max normalized to 0..1 over the whole batch, as in KinD's code.

    Args:
        image (Tensor): (N, 1, H, W).
        magnitude (bool): Whether to take absolute values first. Defaults to True.

    Returns:
        list[Tensor]: Two of (N, 1, H, W).
    """
    found = [gradient.abs() if magnitude else gradient for gradient in gradients(image)]
    return [(gradient - gradient.amin()) / (gradient.amax() - gradient.amin() + 1e-4) for gradient in found]


def gradient_distance(x: Tensor, y: Tensor, magnitude: bool = True) -> Tensor:
    """Mean squared error between the :func:`normalized_gradients` of two images (N, 1, H, W), summed over both directions."""
    pairs = zip(normalized_gradients(x, magnitude), normalized_gradients(y, magnitude))
    return reduce(torch.add, (F.mse_loss(*pair) for pair in pairs))


def mutual_consistency(low: Tensor, high: Tensor) -> Tensor:
    """Penalizes edges that two illumination maps (N, 1, H, W) of a scene do not share (KinD, Eq. 2), not strong mutual ones."""
    sums = [of_low + of_high for of_low, of_high in zip(normalized_gradients(low), normalized_gradients(high))]
    return reduce(torch.add, ((edges * (-10 * edges).exp()).mean() for edges in sums))


def relative_smoothness(illumination: Tensor, image: Tensor) -> Tensor:
    """Penalizes an illumination map (N, 1, H, W) for varying where its image (N, 3, H, W) is smooth (KinD, Eq. 3)."""
    pairs = zip(normalized_gradients(illumination), normalized_gradients(gray(image)))
    return reduce(torch.add, ((of_illumination / of_image.clamp(min=0.01)).abs().mean() for of_illumination, of_image in pairs))


@MODELS.register_module()
class KinDDecomLoss(WeightedTerms[Decomposition]):
    """Decomposition loss of KinD (Zhang et al., ACM MM 2019, section 3.2) and KinD++.

    Args:
        equal_reflectance_weight (float): Weight of the distance between the two reflectances. Defaults to 0.01, as in KinD;
            KinD++ uses 0.009.
        mutual_weight (float): Weight of the :func:`mutual_consistency` of the illumination maps. Defaults to 0.2.
        smooth_weight (float): Weight of their :func:`relative_smoothness`. Defaults to 0.15.
    """

    def __init__(self, equal_reflectance_weight: float = 0.01, mutual_weight: float = 0.2, smooth_weight: float = 0.15):
        super().__init__()
        self.equal_reflectance_weight = equal_reflectance_weight
        self.mutual_weight = mutual_weight
        self.smooth_weight = smooth_weight

    def terms(self, outputs: Decomposition, gt: Tensor) -> dict[str, Tensor]:
        low, high, _, i_low, _, i_high = outputs
        return dict(
            **shared_reflectance(outputs, self.equal_reflectance_weight),
            mutual=self.mutual_weight * mutual_consistency(i_low, i_high),
            smooth_low=self.smooth_weight * relative_smoothness(i_low, low),
            smooth_high=self.smooth_weight * relative_smoothness(i_high, high))


@MODELS.register_module()
class KinDAdjustLoss(WeightedTerms[Adjustment]):
    """Illumination adjustment loss of KinD (section 3.4) and KinD++: mean squared error of values and gradients.

    Args:
        magnitude (bool): Whether to compare absolute gradients, as KinD does; KinD++ keeps their signs. Defaults to True.
    """

    def __init__(self, magnitude: bool = True):
        super().__init__()
        self.magnitude = magnitude

    def terms(self, outputs: Adjustment, gt: Tensor) -> dict[str, Tensor]:
        return dict(square=F.mse_loss(*outputs), gradient=gradient_distance(*outputs, self.magnitude))


@MODELS.register_module()
class KinDRestoreLoss(WeightedTerms[Restoration]):
    """Reflectance restoration loss of KinD (section 3.3), KinD++ and ISSR: mean squared error, SSIM, gradients of the gray image.

    Args:
        gradient_weight (float): Weight of the gradient term. Defaults to 1, as in KinD; KinD++ has no such term: 0.
        ssim_weight (float): Weight of the SSIM term. Defaults to 1.
    """

    def __init__(self, gradient_weight: float = 1., ssim_weight: float = 1.):
        super().__init__()
        self.gradient_weight = gradient_weight
        self.ssim_weight = ssim_weight

    def terms(self, outputs: Restoration, gt: Tensor) -> dict[str, Tensor]:
        restored, target = outputs.reflectance, outputs.target
        assert target is not None, 'the target is set in training'
        terms = dict(square=F.mse_loss(restored, target), ssim=self.ssim_weight * (1 - ssim(restored, target, padding=0)))
        if self.gradient_weight:
            terms['gradient'] = self.gradient_weight * gradient_distance(gray(restored), gray(target))
        return terms

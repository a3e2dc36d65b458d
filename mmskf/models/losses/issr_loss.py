import torch.nn.functional as F
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import Exposure, Segmentation

from .kind_loss import gradient_distance
from .retinex_terms import WeightedTerms, gray
from .ssim_loss import ssim


@MODELS.register_module()
class ISSRSegmentLoss(WeightedTerms[Segmentation]):
    """Segmentation loss of ISSR (Fan et al., ACM MM 2020): cross entropy of both images, and their agreement.

    Args:
        agreement_weight (float): Weight of the mean absolute difference of the class probabilities. Defaults to 0.1.
    """

    def __init__(self, agreement_weight: float = 0.1):
        super().__init__()
        self.agreement_weight = agreement_weight

    def terms(self, outputs: Segmentation, gt: Tensor) -> dict[str, Tensor]:
        low, high, labels = outputs
        assert labels is not None, 'the editor sets the labels'
        return dict(
            entropy_low=F.cross_entropy(low, labels),
            entropy_high=F.cross_entropy(high, labels),
            agreement=self.agreement_weight * F.l1_loss(low.softmax(dim=1), high.softmax(dim=1)))


@MODELS.register_module()
class ISSRRelightLoss(WeightedTerms[Exposure]):
    """Relighting loss of ISSR: mean squared error, SSIM, gradients of the gray image, mean brightness.

    Args:
        ssim_weight (float): Defaults to 0.5.
        gradient_weight (float): Weight of the :func:`gradient_distance`. Defaults to 0.5.
        brightness_weight (float): Weight of the absolute difference between the means of the enhanced image and of the brightened
            low-light image. Defaults to 0.1.
    """

    def __init__(self, ssim_weight: float = 0.5, gradient_weight: float = 0.5, brightness_weight: float = 0.1):
        super().__init__()
        self.ssim_weight = ssim_weight
        self.gradient_weight = gradient_weight
        self.brightness_weight = brightness_weight

    def terms(self, outputs: Exposure, gt: Tensor) -> dict[str, Tensor]:
        image, brightened = outputs
        return dict(
            square=F.mse_loss(image, gt),
            ssim=self.ssim_weight * (1 - ssim(image, gt, padding=0)),
            gradient=self.gradient_weight * gradient_distance(gray(image), gray(gt)),
            brightness=self.brightness_weight * (brightened - image).mean().abs())

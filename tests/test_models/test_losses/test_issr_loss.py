import math

import pytest
import torch

from mmskf.models import ISSRRelightLoss, ISSRSegmentLoss, KinDRestoreLoss, ssim
from mmskf.models.losses.kind_loss import gradient_distance
from mmskf.models.losses.retinex_terms import gray
from mmskf.structures import Exposure, Restoration, Segmentation


def test_segmentation_by_closed_forms():
    """Even scores cost ln 3; the labels are class 1, which the other image is sure of."""
    labels = torch.ones(1, 4, 5, dtype=torch.int64)
    even, sure = torch.zeros(1, 3, 4, 5), torch.tensor([0., 2, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 5)
    terms = ISSRSegmentLoss(agreement_weight=0.5)(Segmentation(even, sure, labels), even)
    probability = math.exp(2) / (math.exp(2) + 2)
    assert terms['entropy_low'].item() == pytest.approx(math.log(3))
    assert terms['entropy_high'].item() == pytest.approx(-math.log(probability))
    difference = (abs(probability - 1 / 3) + 2 * abs((1 - probability) / 2 - 1 / 3)) / 3
    assert terms['agreement'].item() == pytest.approx(0.5 * difference)
    assert terms['loss_recon'] == sum(value for name, value in terms.items() if name != 'loss_recon')


def test_relighting_term_by_term():
    torch.manual_seed(0)
    image, brightened, gt = torch.rand(3, 2, 3, 16, 17)
    terms = ISSRRelightLoss()(Exposure(image, brightened), gt)
    assert terms['square'].item() == pytest.approx((image - gt).square().mean().item())
    assert terms['ssim'].item() == pytest.approx(0.5 * (1 - ssim(image, gt, padding=0).item()))
    assert terms['gradient'].item() == pytest.approx(0.5 * gradient_distance(gray(image), gray(gt)).item())
    assert terms['brightness'].item() == pytest.approx(0.1 * abs(brightened.mean() - image.mean()).item(), rel=1e-4)


def test_restoration_is_kind_s_with_other_weights():
    torch.manual_seed(0)
    images = Restoration(*torch.rand(3, 1, 3, 16, 17))
    ours, kind = (KinDRestoreLoss(**weights)(images, images.target)
                  for weights in (dict(gradient_weight=0.5, ssim_weight=0.5), {}))
    assert ours['square'] == kind['square']
    assert all(ours[name].item() == pytest.approx(0.5 * kind[name].item()) for name in ('ssim', 'gradient'))


def test_gradients():
    """In float64, away from the kinks of the absolute differences."""
    torch.manual_seed(0)
    image, brightened, gt = torch.rand(3, 1, 3, 12, 13, dtype=torch.float64)
    relight, segment = ISSRRelightLoss(), ISSRSegmentLoss()
    assert torch.autograd.gradcheck(lambda x: sum(relight.terms(Exposure(x, brightened), gt).values()), image.requires_grad_())
    low, high = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64)
    labels = torch.randint(0, 3, (1, 4, 5))
    assert torch.autograd.gradcheck(lambda *scores: sum(segment.terms(Segmentation(*scores, labels), gt).values()),
                                    (low.requires_grad_(), high.requires_grad_()))

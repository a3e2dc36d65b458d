import json

import pytest
import torch
from golden import FOLDERS, shared
from PIL import Image
from torchvision.transforms.functional import to_tensor

from mmskf.models import PyramidLoss, SSIMLoss, ssim


@pytest.mark.parametrize('name', ['1', '111', '493'])
def test_golden(name):
    expected = json.loads((FOLDERS[0] / 'metrics.json').read_text())['pairs'][name]['torch_ssim_rgb_gauss11_zero_pad_range1']
    pair = [to_tensor(Image.open(shared(f'golden/images/{name}_{method}.png')))[None] for method in ('drbn', 'llflow')]
    assert abs(ssim(*pair).item() - expected) < 1e-5


def test_closed_forms():
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    assert ssim(image, image).item() == pytest.approx(1)
    # Two constants c and d under one whole window: the zero padding is outside of it, only the luminance term is left at the
    # middle of 11x11 pixels; further out the padding counts.
    dark, bright = (torch.full((1, 1, 11, 11), value, dtype=torch.float64) for value in (0.2, 0.6))
    assert ssim(dark, bright).item() < (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert SSIMLoss(loss_weight=2.)(image, image).item() == pytest.approx(-2)


def test_gradient():
    x, y = (torch.rand(1, 2, 6, 5, dtype=torch.float64) for _ in range(2))
    assert torch.autograd.gradcheck(lambda image: ssim(image, y), x.requires_grad_())


def test_pyramid_decimates_the_target():
    target = torch.rand(1, 3, 16, 24)
    loss = PyramidLoss(dict(type='SSIMLoss'))
    assert loss([target, target[..., ::2, ::2], target[..., ::4, ::4]], target).item() == pytest.approx(-3, abs=1e-5)


def test_half_precision_is_computed_in_float32():
    x, y = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    with torch.autocast('cpu', torch.bfloat16):
        assert SSIMLoss()(x, y).item() == SSIMLoss()(x, y).item()
    assert SSIMLoss()(x.bfloat16(), y).dtype == torch.float32

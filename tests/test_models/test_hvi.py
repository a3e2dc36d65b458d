import math

import pytest
import torch
from golden import Golden

from mmskf.models.hvi import hvi_to_rgb, rgb_to_hvi

DENSITY = torch.tensor([0.2])


def test_golden():
    """128 colors, among them black, gray, primaries and ties."""
    golden, case = Golden('cidnet'), 'd_colours_8x16'
    hvi = rgb_to_hvi(golden.inputs(case)['x'], DENSITY)
    golden.check(case, 'hvi_in', hvi)
    golden.check(case, 'roundtrip', hvi_to_rgb(hvi, DENSITY))


@pytest.mark.parametrize('color, hue, saturation, intensity', [
    ((0.5, 0, 0), 0, 1, 0.5), ((0.5, 0.5, 0), 60, 1, 0.5), ((0, 1, 0), 120, 1, 1), ((0.25, 0.5, 0.5), 180, 0.5, 0.5),
    ((0, 0, 0.3), 240, 1, 0.3), ((0.5, 0, 0.5), 300, 1, 0.5), ((0.4, 0.4, 0.4), 0, 0, 0.4), ((0, 0, 0), 0, 0, 0)])
def test_closed_form(color, hue, saturation, intensity):
    image, density = torch.tensor(color, dtype=torch.float64).view(1, 3, 1, 1), torch.tensor([0.2], dtype=torch.float64)
    radius = saturation * math.sin(math.pi / 2 * intensity)**0.2
    expected = radius * math.cos(math.radians(hue)), radius * math.sin(math.radians(hue)), intensity
    hvi = rgb_to_hvi(image, density)
    assert hvi.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert torch.allclose(hvi_to_rgb(hvi, density), image, atol=1e-4)


def test_saturation_is_scaled_and_clipped():
    image = torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
    hvi = rgb_to_hvi(image, DENSITY)
    assert torch.allclose(hvi_to_rgb(hvi, DENSITY, 0.5), torch.tensor([0.5, 0.45, 0.4]).view(1, 3, 1, 1), atol=1e-4)
    assert torch.allclose(hvi_to_rgb(hvi, DENSITY, 9.), torch.tensor([0.5, 0.25, 0.]).view(1, 3, 1, 1), atol=1e-4)


def test_gradients():
    """To images and to the density, which gets none on the way back."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    density = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rgb_to_hvi, (image, density))
    hvi = rgb_to_hvi(image, density).detach().mul_(0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: hvi_to_rgb(x, density.detach()), hvi)
    hvi_to_rgb(hvi, density).sum().backward()
    assert density.grad is None and hvi.grad is not None


def test_black_and_gray_have_finite_gradients():
    image = torch.tensor([[0., 0, 0], [0.4, 0.4, 0.4], [1, 1, 1], [1e-6, 0, 0]]).T.reshape(1, 3, 2, 2).requires_grad_()
    hvi_to_rgb(rgb_to_hvi(image, DENSITY), DENSITY).sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()

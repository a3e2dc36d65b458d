import pytest
import torch
from golden import Golden

from mmskf.converters import CONVERSIONS
from mmskf.models import ZeroDCELoss, ZeroDCENet
from mmskf.models.losses.zerodce_loss import color_cast, curve_roughness, exposure_error, spatial_inconsistency
from mmskf.structures import CurveOutputs

CASE = 'a_64x96'


def test_golden():
    """Each term, their sum and its gradients as in the reference, in float64."""
    golden = Golden('zerodce_losses')
    net = ZeroDCENet()
    net.load_state_dict(CONVERSIONS['zerodce'].rename(golden.weights()))
    net.double()
    image = golden.inputs(CASE)['x'].double()
    outputs = net(image)
    terms = ZeroDCELoss(spatial_weight=1., exposure_weight=1., color_weight=1., smooth_weight=1.)(outputs)
    for name, term in (('tv', 'smooth'), ('spa', 'spatial'), ('col', 'color'), ('exp', 'exposure')):
        golden.check(CASE, f'loss_{name}', terms[term])
    golden.check(CASE, 'loss_spa_map', spatial_inconsistency(outputs.image, image))
    loss = ZeroDCELoss()(outputs)['loss_recon']
    golden.check(CASE, 'loss', loss)
    loss.backward()
    golden.check(CASE, 'grad:e_conv7.bias', net.convs[6].bias.grad)
    golden.check(CASE, 'grad:e_conv1.weight', net.convs[0].weight.grad)
    golden.check(CASE, 'grad_norm', torch.nn.utils.get_total_norm([weight.grad for weight in net.parameters()]))


def test_golden_of_two_images():
    golden = Golden('zerodce_losses')
    bright, dark = (golden.inputs(CASE)[name] for name in ('bright', 'x'))
    golden.check(CASE, 'direct_spa', spatial_inconsistency(bright, dark).mean())
    golden.check(CASE, 'direct_col', color_cast(bright).mean())
    golden.check(CASE, 'direct_exp', exposure_error(bright).mean())


@pytest.mark.parametrize('loss', [
    lambda x: spatial_inconsistency(x, torch.full_like(x, 0.3)), color_cast, lambda x: exposure_error(torch.cat(4 * [x], dim=3)),
    curve_roughness])
def test_gradients(loss):
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(loss, torch.rand(2, 3, 16, 8, dtype=torch.float64, requires_grad=True))


def test_gray_images_have_no_color_cast_and_no_gradient():
    """Where the root of the sum of fourth powers would have none, the gradient is 0; next to it the value is right."""
    gray = torch.rand(2, 1, 4, 4).repeat(1, 3, 1, 1).requires_grad_()
    loss = color_cast(gray)
    loss.sum().backward()
    assert loss.tolist() == [0, 0] and gray.grad.tolist() == torch.zeros_like(gray).tolist()
    tinted = torch.full((1, 3, 4, 4), 0.5, dtype=torch.float64)
    tinted[:, 0] += 1e-3
    assert color_cast(tinted).item() == pytest.approx(2**0.5 * 1e-6, rel=1e-6)


def test_roughness_by_its_definition():
    """The authors divide the sums over all curves by the number of neighbors in one map and by the batch."""
    curves = torch.rand(2, 6, 4, 5, dtype=torch.float64)
    down = (curves[:, :, 1:] - curves[:, :, :-1]).square().sum() / (3 * 5)
    right = (curves[..., 1:] - curves[..., :-1]).square().sum() / (4 * 4)
    assert curve_roughness(curves).item() == pytest.approx(2 * (down + right).item() / 2)


def test_half_precision_is_computed_in_float32():
    image, curves = torch.rand(1, 3, 32, 32), torch.rand(1, 24, 32, 32)
    with torch.autocast('cpu', torch.bfloat16):
        terms = ZeroDCELoss()(CurveOutputs(image.bfloat16(), curves.bfloat16(), image))
    assert {term.dtype for term in terms.values()} == {torch.float32}
    assert terms['smooth'] == 200 * curve_roughness(curves.bfloat16().float())

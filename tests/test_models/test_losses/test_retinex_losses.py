import math

import pytest
import torch
from golden import Golden

from mmskf.converters import CONVERSIONS
from mmskf.models import (
    KinDAdjustLoss,
    KinDDecomLoss,
    KinDNet,
    KinDPlusPlusNet,
    KinDRestoreLoss,
    RetinexNet,
    RetinexNetDecomLoss,
    RetinexNetRelightLoss,
)
from mmskf.models.losses.kind_loss import mutual_consistency, normalized_gradients, relative_smoothness
from mmskf.models.losses.retinex_terms import gradients, gray
from mmskf.models.losses.retinexnet_loss import structure_aware_smoothness
from mmskf.structures import Adjustment, Decomposition, Relighting, Restoration

CASE = 'a_64x96'
KINDS = dict(
    kind=(KinDNet, KinDDecomLoss(), KinDAdjustLoss(), KinDRestoreLoss()),
    kindpp=(KinDPlusPlusNet, KinDDecomLoss(0.009), KinDAdjustLoss(magnitude=False), KinDRestoreLoss(gradient_weight=0.)))


def network(method, cls):
    """The network with the weights of the golden set, and a function: TensorFlow's name, gradient -> our name, gradient."""
    weights = Golden(method).weights()
    renamed = CONVERSIONS[method].rename(weights)
    net = cls()
    net.load_state_dict(renamed)

    def rename(name, gradient):
        changed = CONVERSIONS[method].rename({**weights, name: gradient})
        return next((key, value) for key, value in changed.items() if not torch.equal(value, renamed[key]))

    return net.eval().double(), rename  # in float32 the sign of a gradient near 0 depends on the number of threads


def check_gradients(golden, prefix, net, rename, loss):
    """Compares the gradients that a golden set has under ``prefix``."""
    net.zero_grad()
    loss.backward()
    names = [name for name in golden.meta['outputs'] if name.startswith(prefix)]
    assert names
    for name in names:
        key, expected = rename(name[len(prefix):], torch.from_numpy(golden.data[f'{CASE}/out/{name}']))
        difference = (net.get_parameter(key).grad - expected).abs().max().item()
        assert difference <= golden.meta['outputs'][name]['cases'][CASE]['atol'], (name, difference)


def test_golden_retinexnet():
    golden = Golden('retinexnet_losses')
    net, rename = network('retinexnet', RetinexNet)
    low, gt = (golden.inputs(CASE)[name].double() for name in ('x', 'gt'))
    outputs = net(low, gt=gt, stage='decom')
    terms = RetinexNetDecomLoss(mutual_weight=1., equal_reflectance_weight=1., smooth_weight=1.)(outputs, gt)
    for name, term in dict(recon_loss_low='recon_low', recon_loss_high='recon_high', recon_loss_mutal_low='mutual_low',
                           recon_loss_mutal_high='mutual_high', equal_R_loss='equal_reflectance', Ismooth_loss_low='smooth_low',
                           Ismooth_loss_high='smooth_high').items():
        golden.check(CASE, name, terms[term])
    loss = RetinexNetDecomLoss()(outputs, gt)['loss_recon']
    golden.check(CASE, 'loss_Decom', loss)
    check_gradients(golden, 'Decom_grad:', net, rename, loss)

    outputs = net(low, gt=gt, stage='relight')
    terms = RetinexNetRelightLoss(smooth_weight=1.)(outputs, gt)
    golden.check(CASE, 'relight_loss', terms['relight'])
    golden.check(CASE, 'Ismooth_loss_delta', terms['smooth'])
    loss = RetinexNetRelightLoss()(outputs, gt)['loss_recon']
    golden.check(CASE, 'loss_Relight', loss)
    check_gradients(golden, 'Relight_grad:', net, rename, loss)


@pytest.mark.parametrize('method', KINDS)
def test_golden_kind(method):
    golden = Golden(f'{method}_losses')
    cls, decom_loss, adjust_loss, restore_loss = KINDS[method]
    net, rename = network(method, cls)
    low, gt = (golden.inputs(CASE)[name].double() for name in ('x', 'gt'))

    parts = net(low, gt=gt, stage='decom')
    terms = decom_loss(parts, gt)
    golden.check(CASE, 'decom/recon_loss_low', terms['recon_low'])
    golden.check(CASE, 'decom/equal_R_loss', terms['equal_reflectance'] / decom_loss.equal_reflectance_weight)
    golden.check(CASE, 'decom/i_mutual_loss', terms['mutual'] / 0.2)
    golden.check(CASE, 'decom/i_input_mutual_loss_low', terms['smooth_low'] / 0.15)
    golden.check(CASE, 'decom/i_input_mutual_loss_high', terms['smooth_high'] / 0.15)
    golden.check(CASE, 'decom/loss_Decom', terms['loss_recon'])
    check_gradients(golden, 'decom/grad:', net, rename, terms['loss_recon'])

    parts = Decomposition(*(part.detach() for part in parts))
    adjusted = net.adjust(parts.illumination_low, torch.full((len(low), ), 2.))
    terms = adjust_loss(Adjustment(adjusted, parts.illumination_high), gt)
    golden.check(CASE, 'adjust/loss_square', terms['square'])
    golden.check(CASE, 'adjust/loss_grad', terms['gradient'])
    golden.check(CASE, 'adjust/loss_adjust', terms['loss_recon'])
    check_gradients(golden, 'adjust/grad:', net, rename, terms['loss_recon'])

    # The golden set has the bare reflectance of the ground truth as the target.
    restored = net.restore(parts.reflectance_low, parts.illumination_low)
    terms = restore_loss(Restoration(restored, restored, parts.reflectance_high), gt)
    golden.check(CASE, 'restore/loss_square', terms['square'])
    golden.check(CASE, 'restore/loss_ssim', terms['ssim'])
    if method == 'kind':
        golden.check(CASE, 'restore/loss_grad', terms['gradient'])
    assert ('gradient' in terms) == (method == 'kind')
    golden.check(CASE, 'restore/loss_restoration', terms['loss_recon'])
    check_gradients(golden, 'restore/grad:', net, rename, terms['loss_recon'])


def test_gradients_are_those_of_tensorflows_2x2_kernel():
    image = torch.tensor([[1., 2., 4.], [8., 16., 32.]])[None, None]
    right, down = gradients(image)
    assert right[0, 0].tolist() == [[8, 16, -32], [0, 0, 0]]  # of the row below, and against the padding
    assert down[0, 0].tolist() == [[14, 28, 0], [-16, -32, 0]]  # of the column to the right


def test_gray_weighs_as_tensorflow():
    image = torch.eye(3).reshape(1, 3, 1, 3)
    assert gray(image).flatten().tolist() == pytest.approx([0.2989, 0.5870, 0.1140])


def test_a_smooth_illumination_costs_nothing():
    """A square of 6x6 pixels in an illumination that is 0 around it, so that the padding makes no jump."""
    illumination = torch.full((1, 1, 8, 8), 0.5, dtype=torch.float64)
    illumination[..., -1, :] = illumination[..., :, -1] = illumination[..., 0, :] = illumination[..., :, 0] = 0
    flat = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    # Two jumps of 0.5 in each of 6 rows, and as many in each of 6 columns.
    assert structure_aware_smoothness(illumination, flat).item() == pytest.approx(2 * 12 * 0.5 / 64)
    textured = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    assert structure_aware_smoothness(illumination, textured) < structure_aware_smoothness(illumination, flat)
    # KinD divides by the image's gradient, not below 0.01; the highest gradient of the illumination counts 1.
    assert relative_smoothness(illumination, flat).item() == pytest.approx(2 * 12 * 0.5 / (0.5 + 1e-4) / 0.01 / 64)


def test_shared_edges_are_cheaper_than_single_ones():
    edge = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    edge[..., 4] = 1.
    other = edge.roll(2, dims=-1)
    x, _ = normalized_gradients(edge)
    assert x.unique().tolist() == pytest.approx([0, 1 / (1 + 1e-4)])
    # 2 e^-20 at 14 places for a shared edge; e^-10 at 28 for two single ones; downwards 2 and 4 pixels of the last row.
    single, shared = math.exp(-10 / (1 + 1e-4)) / (1 + 1e-4), 2 * math.exp(-20 / (1 + 1e-4)) / (1 + 1e-4)
    assert mutual_consistency(edge, edge).item() == pytest.approx((14 + 1) * shared / 64)
    assert mutual_consistency(edge, other).item() == pytest.approx((28 + 2) * single / 64)


def test_the_sum_is_minimised_and_the_terms_are_shown():
    images = torch.rand(6, 2, 3, 16, 16)
    outputs = Decomposition(images[0], images[1], images[2], images[3, :, :1], images[4], images[5, :, :1])
    for loss in (RetinexNetDecomLoss(), KinDDecomLoss()):
        terms = loss(outputs, images[1])
        total = terms.pop('loss_recon')
        assert total.item() == pytest.approx(sum(term.item() for term in terms.values()))
        assert not any('loss' in name for name in terms)


def test_half_precision_is_computed_in_float32():
    image = torch.rand(1, 3, 16, 16)
    outputs = Relighting(image.bfloat16(), image.bfloat16(), image[:, :1].bfloat16())
    plain = RetinexNetRelightLoss()(Relighting(*(part.float() for part in outputs)), image)['loss_recon']
    with torch.autocast('cpu', torch.bfloat16):
        loss = RetinexNetRelightLoss()(outputs, image)['loss_recon']
    assert loss.dtype == torch.float32 and loss == plain


@pytest.mark.parametrize('function', [structure_aware_smoothness, relative_smoothness])
def test_derivative(function):
    torch.manual_seed(0)
    illumination = torch.rand(2, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    image = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: function(x, image), illumination)

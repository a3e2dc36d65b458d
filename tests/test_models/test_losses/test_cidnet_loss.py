import logging

import pytest
import torch
from golden import Golden

from mmskf.models import CIDNetLoss
from mmskf.models.losses.cidnet_loss import laplacian_residue
from mmskf.models.losses.vgg import VGGFeatures, layer_names
from mmskf.structures import HVIOutputs

CASE = 'a_64x96'


@pytest.fixture(scope='module')
def golden():
    return Golden('cidnet_losses')


@pytest.fixture(scope='module')
def vgg_weights(golden, tmp_path_factory):
    """The reference's VGG19, under torchvision's names."""
    path, names = tmp_path_factory.mktemp('vgg') / 'vgg19.pth', layer_names('vgg19')
    weights = {}
    for key, value in golden.weights().items():
        layer, kind = key.removeprefix('vgg.').rsplit('.', 1)
        weights[f'features.{names[layer]}.{kind}'] = value
    torch.save(weights, path)
    return path


def test_golden(golden, vgg_weights):
    inputs, loss = golden.inputs(CASE), CIDNetLoss(vgg_weights)
    pred, density = inputs['pred'].requires_grad_(), torch.tensor([0.2], requires_grad=True)
    terms = loss(HVIOutputs(pred, density), inputs['gt'])
    golden.check(CASE, 'loss', terms['loss_recon'])
    for prefix, space in (('', 'rgb'), ('hvi_', 'hvi')):
        for name in ('l1', 'ssim', 'edge'):
            golden.check(CASE, f'{space}_{name}', terms[f'{prefix}{name}'])
        golden.check(CASE, f'{space}_perc', terms[f'{prefix}perceptual'] / 0.01)
    gradient, = torch.autograd.grad(terms['l1'] + terms['ssim'] + terms['edge'], pred, retain_graph=True)
    golden.check(CASE, 'grad_pred_rgb', gradient)
    terms['loss_recon'].backward()
    golden.check(CASE, 'grad_density_k', density.grad)
    assert not list(loss.parameters()) and not loss.state_dict()


def test_gradients():
    """In float64, away from the kinks: to the image and, through both images, to the density."""
    torch.manual_seed(0)
    pred, gt = torch.rand(2, 1, 3, 6, 8, dtype=torch.float64)
    density = torch.tensor([0.2], dtype=torch.float64, requires_grad=True)
    loss = CIDNetLoss(perceptual_weight=0.)

    def total(image, density):
        return sum(loss.terms(HVIOutputs(image, density), gt).values())

    assert torch.autograd.gradcheck(total, (pred.requires_grad_(), density))


def test_laplacian_residue_of_closed_forms():
    """Nothing is left of a constant, but at its borders; and a known part of a single white pixel."""
    assert laplacian_residue(torch.full((1, 2, 9, 7), 0.3))[..., 2:-2, 2:-2].abs().max() < 1e-6
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    # The blurred pixel keeps 0.4^2 in the middle and 0.05 in every second neighbor; blurred again, these come together.
    middle = 4 * (0.4**2 + 2 * 0.05**2)**2
    assert laplacian_residue(image)[0, 0, 4, 4].item() == pytest.approx(1 - middle, abs=1e-6)


def test_without_vgg_there_is_a_warning_and_no_perceptual_term(tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    monkeypatch.setattr('mmskf.models.losses.cidnet_loss.print_log', lambda text, **options: warnings.append((text, options)))
    loss, outputs = CIDNetLoss(), HVIOutputs(torch.rand(1, 3, 8, 8), torch.tensor([0.2]))
    for _ in range(2):
        terms = loss(outputs, torch.rand(1, 3, 8, 8))
    assert set(terms) == {'loss_recon', 'l1', 'ssim', 'edge', 'hvi_l1', 'hvi_ssim', 'hvi_edge'}
    (text, options), = warnings
    assert f'there is no file {tmp_path}/checkpoints/vgg19-dcbb9e9d.pth' in text and 'vgg_weights' in text
    assert options['level'] == logging.WARNING
    with pytest.raises(FileNotFoundError, match='no file .*nowhere.pth, named for the weights of vgg19'):
        CIDNetLoss(tmp_path / 'nowhere.pth')(outputs, torch.rand(1, 3, 8, 8))
    assert 'perceptual' not in CIDNetLoss(tmp_path / 'nowhere.pth', perceptual_weight=0)(outputs, torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize('weights', [{}, {'features.0.weight': torch.zeros(1)}])
def test_a_file_that_is_no_vgg(tmp_path, weights):
    torch.save({'x': torch.zeros(1), **weights}, tmp_path / 'vgg.pth')
    features = VGGFeatures('vgg19', ['conv1_1'], tmp_path / 'vgg.pth')
    with pytest.raises(ValueError, match="vgg.pth is not a state dict of vgg19 of form='torchvision'"):
        features(torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize('arguments, message', [
    (('vgg11', ['conv1_1']), "arch='vgg11': choose from vgg16, vgg19"),
    (('vgg16', ['conv3_4']), 'vgg16 has no layer conv3_4: choose from conv1_1, ')])
def test_unknown_layers(arguments, message):
    with pytest.raises(ValueError, match=message):
        VGGFeatures(*arguments)

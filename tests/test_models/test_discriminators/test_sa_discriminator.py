import pytest
import torch
from golden import Golden

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize('name', ['D_gt', 'D_out', 'D_out_seg'])
def test_equals_the_released_discriminator(name):
    golden = Golden('sa_loss_drbn')
    inputs = golden.inputs('batch2')
    probs = SemanticPrior((), golden.full_logits('batch2', inputs['gt'].shape[-2:])).probs
    image = {'D_gt': inputs['gt'], 'D_out': inputs['out'], 'D_out_seg': torch.cat((inputs['out'], probs), dim=1)}[name]
    discriminator = MODELS.build(dict(type='SADiscriminator', num_classes=59, variant='official'))
    discriminator.load_state_dict(golden.weights(), strict=True)
    golden.check('batch2', name, discriminator(image))


@pytest.mark.parametrize('variant', ['paper', 'official'])
def test_parameter_counts(variant):
    discriminator = MODELS.build(dict(type='SADiscriminator', variant=variant))
    assert count(discriminator) == 4_725_377
    assert count(discriminator) - count(discriminator.conv0) == 4_689_601


def test_without_classes_there_is_one_stem():
    assert count(MODELS.build(dict(type='SADiscriminator', num_classes=0))) == 4_689_601


def test_padding_of_the_last_convolution_mixes_in_its_bias():
    """A 64x64 patch has a map of 4x4 scores; padding makes it 6x6 of which 20 cells hold the bias only."""
    paper = MODELS.build(dict(type='SADiscriminator')).eval()
    official = MODELS.build(dict(type='SADiscriminator', variant='official')).eval()
    official.load_state_dict(paper.state_dict())
    patch = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = (16 * paper(patch).logit() + 20 * paper.conv9.bias) / 36
        torch.testing.assert_close(official(patch).logit(), expected, rtol=0, atol=1e-6)


def test_each_stem_is_trained_by_its_own_inputs():
    discriminator = MODELS.build(dict(type='SADiscriminator', num_classes=5))
    discriminator(torch.rand(1, 3, 33, 47)).sum().backward()
    assert discriminator.conv0.weight.grad is None and discriminator.conv1.weight.grad.abs().sum() > 0
    discriminator.zero_grad()
    discriminator(torch.rand(1, 8, 33, 47)).sum().backward()
    assert discriminator.conv1.weight.grad is None and discriminator.conv0.weight.grad.abs().sum() > 0


def test_tells_what_is_wrong_with_its_input():
    with pytest.raises(ValueError, match='got 14 channels, expected 3 .* or 62 .*num_classes'):
        MODELS.build(dict(type='SADiscriminator'))(torch.rand(1, 14, 32, 32))
    with pytest.raises(ValueError, match="'offical', expected 'paper' or 'official'"):
        MODELS.build(dict(type='SADiscriminator', variant='offical'))

"""What RetinexNet, KinD and KinD++ have in common."""
import pytest
import torch

from mmskf.models import KinDNet, KinDPlusPlusNet, RetinexNet
from mmskf.structures import SemanticPrior

WIDTHS = {0: 48, 1: 96, 2: 192, 3: 384, 'logits': 59}  # of the HRNet-W48 of the paper
SOURCES = {RetinexNet: (2, 1, 0), KinDNet: (1, 0, 'logits'), KinDPlusPlusNet: (2, 1, 0)}


def with_se(generator, **options):
    return generator(se=dict(type='SEModule', sources=SOURCES[generator], semantic_channels=WIDTHS), **options)


def some_prior(batch=2, size=16):
    features = [torch.randn(batch, WIDTHS[i], size >> i, size >> i) for i in range(4)]
    return SemanticPrior(features, torch.randn(batch, WIDTHS['logits'], size, size))


@pytest.fixture(scope='module', params=[RetinexNet, KinDNet, KinDPlusPlusNet])
def net(request):
    torch.manual_seed(0)
    return with_se(request.param)


@pytest.fixture(scope='module')
def images():
    torch.manual_seed(0)
    high = torch.rand(2, 3, 16, 16)
    return 0.2 * high, high


@pytest.mark.parametrize('generator', [RetinexNet, KinDNet, KinDPlusPlusNet])
def test_random_weights_are_those_of_tensorflow(generator):
    """Glorot: uniform within sqrt(6 / (inputs + outputs)), times the window; the SE modules keep PyTorch's."""
    fresh = with_se(generator)
    for module in (fresh.decom, getattr(fresh, fresh.stages[-1])):
        for name, weight in module.named_parameters():
            if weight.dim() == 4 and not name.startswith('se.') and weight.numel() > 1000:
                bound = (6 / (weight.shape[0] + weight.shape[1]) / weight[0, 0].numel())**0.5
                assert 0.97 * bound < weight.abs().max() <= bound, name
            elif name.endswith('.bias') and not name.startswith('se.'):
                assert not weight.any(), name
    assert fresh.get_submodule(f'{fresh.stages[-1]}.se')[0].embed.bias.any()


def test_a_stage_trains_its_subnet_and_nothing_else(net, images):
    low, high = images
    for number, stage in enumerate(net.stages):
        net.zero_grad(set_to_none=True)
        outputs = net.train()(low, some_prior(), high, stage=stage)
        sum((torch.randn_like(output) * output).sum() for output in outputs if output.requires_grad).backward()
        for name, weight in net.named_parameters():
            if name.startswith(f'{stage}.'):
                # The prior of the SE modules takes part in the last stage only, which is where they stand.
                assert weight.grad is not None and weight.grad.any(), (stage, name)
            else:
                assert weight.grad is None, (stage, name)
        trained = [getattr(net, name).training for name in net.stages]
        assert trained == [False] * number + [True] * (len(net.stages) - number)


def test_the_decomposition_of_both_images(net, images):
    low, high = images
    outputs = net.eval()(low, None, high, stage='decom')
    assert outputs.low is low and outputs.high is high
    for image, *parts in ((low, *outputs[2:4]), (high, *outputs[4:6])):
        for part, expected in zip(parts, net.decom(image)):
            assert torch.equal(part, expected)
            assert 0 < part.min() and part.max() < 1


@torch.no_grad()
def test_testing_does_not_look_at_the_ground_truth(net, images):
    low, high = images
    net.eval()
    assert torch.equal(net(low).image, net(low, gt=torch.full_like(high, torch.nan)).image)


@torch.no_grad()
def test_a_prior_acts_and_a_callable_one_sees_the_reflectance(net, images):
    low, _ = images
    prior, seen = some_prior(), []

    def bank(image):
        seen.append(image)
        return prior

    net.eval()
    guided = net(low, bank)
    assert torch.equal(seen[0], net.decom(low)[0])
    assert torch.equal(guided.image, net(low, prior).image)
    assert not torch.allclose(guided.image, net(low).image, atol=1e-5)


@torch.no_grad()
def test_denoising_of_the_reflectance(net, images):
    """The decomposition is made to see a flat scene with noise; what the image has of it shrinks, in testing only."""
    low, high = images
    net.eval()
    noisy = (0.5 + 0.05 * torch.randn(2, 3, 16, 16)).clamp(0, 1)
    parts = net.decom.register_forward_hook(lambda module, inputs, outputs: (noisy, torch.full((2, 1, 16, 16), 0.4)))
    last = getattr(net, net.stages[-1])
    # So is the last subnet: KinD's hands on the reflectance as it is, RetinexNet's has an illumination without noise.
    handed = last.register_forward_hook(
        lambda module, inputs, outputs: noisy if outputs.shape[1] == 3 else torch.ones(2, 1, 16, 16))
    try:
        light = net(low).image / noisy
        net.denoise = 0.05
        clean = net(low).image / light
        assert clean.std() < 0.5 * noisy.std() and abs(clean.mean() - 0.5) < 0.01
        trained = net(low, None, high, stage=net.stages[-1])
        assert torch.equal(trained.reflectance, noisy)
    finally:
        net.denoise = None
        parts.remove()
        handed.remove()


def test_unknown_stage(net, images):
    with pytest.raises(ValueError, match=rf"stage='relit': {type(net).__name__} is trained in the stages \('decom', "):
        net(*images, stage='relit')


@pytest.mark.parametrize('generator, options, message', [
    (RetinexNet, dict(form='pytorch'), "form='pytorch': choose 'tf' or 'port'"),
    (RetinexNet, dict(padding_mode='replicate'), "padding_mode='replicate' needs form='port'"),
    (KinDNet, dict(form='pytorch'), "form='pytorch': choose 'tf' or 'port'"),
    (KinDNet, dict(exposure='gt-mean'), "exposure='gt-mean': choose 'auto', 'gt', or a ratio above 0"),
    (KinDNet, dict(exposure=0), "exposure=0: choose 'auto', 'gt', or a ratio above 0"),
    (KinDNet, dict(fusion='authors_adjusted'), r"fusion='authors_adjusted': choose from \('product', 'authors'\)"),
    (KinDPlusPlusNet, dict(fusion='authors', exposure=5.), "exposure=5.0 has no effect with fusion='authors'"),
])
def test_choices_that_do_not_exist(generator, options, message):
    with pytest.raises(ValueError, match=message):
        generator(**options)

"""SKF around networks that know nothing of it: two of mmagic, one of segmentation_models.pytorch, and small ones to look into."""
import copy
import warnings
from functools import partial

import pytest
import torch
from mmagic.structures import DataSample
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapperDict
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from networks import NETWORKS, TINY_WIDTHS, small_prior, with_each
from tiny_segmentor import SEGMENTOR
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from mmskf.engine import Bf16OptimWrapper
from mmskf.models import SEModule, SEWrapper
from mmskf.models.whole_image import statistics_of_whole
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

SE_WIDTHS = dict(nafnet=[16, 8, 4], restormer=[16, 8, 8], unet=[8, 8, 8])
NAMES = with_each(SE_WIDTHS)


class Small(nn.Module):
    """A network to look into: its body may run twice, and it has submodules that yield other things than maps."""

    def __init__(self, channels=4, twice=False, **attributes):
        super().__init__()
        self.head, self.body, self.tail = nn.Conv2d(3, channels, 1), nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, 3, 1)
        self.idle, self.parts = nn.Identity(), nn.ModuleList([nn.Flatten(2), nn.MaxPool2d(2, return_indices=True)])
        self.twice = twice
        vars(self).update(attributes)

    def forward(self, x):
        x = self.body(self.head(x))
        for part in self.parts:
            part(x)
        return self.tail(self.body(x) if self.twice else x)


def small(modules=('body', ), **options):
    """The wrapper of :class:`Small`, whose SE modules read the logits."""
    torch.manual_seed(0)
    se = dict(type='SEModule', modules=modules, sources=len(modules) * ('logits', ), semantic_channels=TINY_WIDTHS)
    return SEWrapper(dict(type=Small, **options), se).eval()


def prior_for(image, seed=0):
    """A prior of another content for each seed."""
    prior = small_prior(*image.shape[-2:], batch=len(image))
    return SemanticPrior([feature.to(image).roll(seed) for feature in prior.features], prior.logits.to(image).roll(seed))


@pytest.fixture
def image():
    return torch.rand(2, 3, 32, 64, generator=torch.Generator().manual_seed(2))


@NAMES
def test_without_se_it_is_the_network(name, image):
    model = NETWORKS[name].build_small(se=False)
    expected = model.net(image) + (image if model.residual else 0)
    assert torch.equal(model(image), expected)
    assert torch.equal(model(image, prior_for(image)), expected)
    assert model.se_modules == []


@NAMES
def test_widths_are_found(name):
    model = NETWORKS[name].build_small()
    assert [module.channels for module in model.se_modules] == SE_WIDTHS[name]
    assert [module.semantic_channels for module in model.se_modules] == [16, 8, 4]


@pytest.mark.parametrize('twice', [False, True])
def test_the_next_layer_sees_what_the_se_module_yields(image, twice):
    model, prior = small(twice=twice), prior_for(image)

    def body(x):
        return model.se[0](model.net.body(x), prior.logits)

    feature = body(model.net.head(image))
    assert torch.equal(model(image, prior), model.net.tail(body(feature) if twice else feature))


def test_two_se_modules_behind_one_place_act_in_their_order(image):
    model, prior = small(modules=('body', 'body')), prior_for(image)
    feature = model.net.body(model.net.head(image))
    assert torch.equal(model(image, prior), model.net.tail(model.se[1](model.se[0](feature, prior.logits), prior.logits)))


def test_size_divisor():
    assert NETWORKS['nafnet'].build_small().size_divisor == 16  # its padder_size
    assert NETWORKS['nafnet'].build_small(size_divisor=32).size_divisor == 32
    assert small(size_divisor=24).size_divisor == 24
    assert small().size_divisor == 1


def test_input_channels_and_residual(image):
    inputs = torch.cat([image, image.flip(1)], dim=1)
    net = dict(type='torch.nn.Conv2d', in_channels=6, out_channels=3, kernel_size=1)
    model = SEWrapper(net, input_channels=6, residual=True)
    assert model.input_channels == 6
    assert torch.equal(model(inputs), image + model.net(inputs))


class Several(nn.Module):

    def __init__(self, kind):
        super().__init__()
        self.conv, self.kind = nn.Conv2d(3, 3, 1), kind

    def forward(self, x):
        return self.kind([('out', self.conv(x)), ('aux', x[..., ::2, ::2])])


@pytest.mark.parametrize('kind', [dict, lambda items: [value for _, value in items], lambda items: dict(items[:1])])
def test_outputs_of_other_kinds(image, kind):
    model = SEWrapper(dict(type=Several, kind=kind), residual=True)
    outputs = model(image)
    expected = image + model.net.conv(image)
    if isinstance(outputs, tuple):
        assert len(outputs) == 2 and torch.equal(outputs[1], image[..., ::2, ::2])
        outputs = outputs[0]
    assert torch.equal(outputs, expected)


@NAMES
def test_names_of_weights(name):
    """Those of the network itself behind ``net.``, and those of each SE module behind ``se.`` and its number."""
    weights, plain = (NETWORKS[name].build_small(se).state_dict() for se in (True, False))
    own = {key for key in weights if not key.startswith('net.')}
    assert own == {f'se.{index}.{key}' for index in range(3) for key in SEModule(4, 4).state_dict()}
    assert weights.keys() - own == plain.keys()
    assert plain.keys() == {f'net.{key}' for key in MODELS.build(NETWORKS[name].small['net']).state_dict()}


def test_an_average_of_the_weights_is_a_wrapper_of_its_own(image):
    model, prior = small(), prior_for(image)
    before = model(image, prior)
    average = ExponentialMovingAverage(model).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5)
    assert torch.equal(average(image, prior), before) and not torch.allclose(model(image, prior), before)


def test_an_exception_leaves_nothing_behind(image, monkeypatch):
    model = small()
    before = model(image)
    with monkeypatch.context() as patch:
        patch.setattr(model.net.tail, 'forward', None)
        with pytest.raises(TypeError):
            model(image, prior_for(image))
    assert torch.equal(model(image), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_passes_do_not_see_each_other(image):
    """Gradients of two passes with two priors are those of each of them alone."""
    model, priors = small().double(), [prior_for(image.double(), seed) for seed in (1, 2)]

    def gradients(*priors):
        model.zero_grad()
        sum(model(image.double(), prior).square().mean() for prior in priors).backward()
        return torch.cat([weight.grad.flatten() for weight in model.se.parameters()])

    torch.testing.assert_close(gradients(*priors), gradients(priors[0]) + gradients(priors[1]))


class Stateful(Small):
    """Counts its passes, keeps statistics and draws random numbers."""

    def __init__(self):
        super().__init__()
        self.norm, self.passes = nn.BatchNorm2d(3), 0
        self.register_buffer('count', torch.zeros(()))

    def forward(self, x):
        self.passes += 1
        self.count += 1
        return super().forward(self.norm(x)) + torch.rand(1)


def test_the_probe_changes_nothing():
    torch.manual_seed(0)
    net, state = Stateful(), torch.get_rng_state()
    torch.manual_seed(0)
    model = SEWrapper(dict(type=Stateful))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.net.passes == 0 and all(module.training for module in model.modules())
    weights = model.net.state_dict()
    assert weights.keys() == net.state_dict().keys()
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())


def test_gradcheck():
    model = small().double()
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    prior = prior_for(image)
    assert torch.autograd.gradcheck(lambda x, logits: model(x, SemanticPrior(prior.features, logits)),
                                    (image, prior.logits.requires_grad_()))


@pytest.fixture
def process_group(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('find_unused', [False, True])
@NAMES
def test_data_parallel_training(name, image, process_group, find_unused):
    """Each of two steps moves all weights as without DistributedDataParallel."""
    plain, prior = NETWORKS[name].build_small(), prior_for(image)
    parallel = DistributedDataParallel(copy.deepcopy(plain), find_unused_parameters=find_unused)
    for model in (plain, parallel):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            optimizer.zero_grad()
            model(image, prior).square().mean().backward()
            optimizer.step()
    for expected, weight in zip(plain.parameters(), parallel.module.parameters()):
        torch.testing.assert_close(weight, expected)


class WithPrior(nn.Module):
    """Takes the maps of a prior as tensors, as exported programs do."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image, logits, *features):
        return self.model(image, SemanticPrior(features, logits))


@NAMES
def test_export(name, image):
    """In float64: the order of sums is another in the program."""
    image = image.double()
    model, prior = NETWORKS[name].build_small().double(), prior_for(image)
    inputs = (image, prior.logits, *prior.features)
    with torch.no_grad():
        program = torch.export.export(WithPrior(model), inputs, strict=False).module()
        torch.testing.assert_close(program(*inputs), model(image, prior))
        other = prior_for(image, seed=3)
        torch.testing.assert_close(program(image, other.logits, *other.features), model(image, other))


def test_trace(image):
    model, prior = NETWORKS['nafnet'].build_small(), prior_for(image)
    inputs = (image, prior.logits, *prior.features)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # shapes become constants
        traced = torch.jit.trace(WithPrior(model), inputs)
        other = prior_for(image, seed=3)
        torch.testing.assert_close(traced(image, other.logits, *other.features), model(image, other))


@pytest.mark.filterwarnings('ignore:torch.utils.checkpoint')
@pytest.mark.parametrize('part', ['net.decoder_level2', 'net.decoder_level2.0', 'net.encoder_level1'])
def test_activation_checkpointing(image, part):
    """Gradients are those without it, whether a place is checkpointed or what is inside of it."""
    plain, prior = NETWORKS['restormer'].build_small(), prior_for(image)
    saving = copy.deepcopy(plain)
    turn_on_activation_checkpointing(saving, part)
    for model in (plain, saving):
        model(image.clone().requires_grad_(), prior).square().mean().backward()
    for expected, weight in zip(plain.parameters(), saving.parameters()):
        torch.testing.assert_close(weight.grad, expected.grad)


def test_activation_checkpointing_around_an_se_module(image):
    """What would be run again without its SE module is refused: here, or by PyTorch where that notices it."""
    for reentrant, message in ((True, "'body' of Small is in a part .* would lose its SE module"), (False, 'recomputed|saved')):
        model, prior = small(), prior_for(image)
        model.net.forward = partial(checkpoint, model.net.forward, use_reentrant=reentrant)
        with pytest.raises(RuntimeError, match=message):
            model(image.requires_grad_(), prior).mean().backward()
        with torch.no_grad():
            assert torch.equal(model(image, prior), small()(image, prior))


@pytest.mark.parametrize('changes, message', [
    (dict(modules=('bodi', )), "se.modules names 'bodi', which Small does not have; it has body"),
    (dict(modules=('xyz', )), "names 'xyz', which Small does not have; it has head, body, tail, idle, parts"),
    (dict(modules=('body.weight', )), "names 'body.weight', which Small does not have"),
    (dict(modules=('idle', )), "se.modules names 'idle', which Small contains but does not run"),
    (dict(modules=('parts', )), "se.modules names 'parts', which Small contains but does not run: .* an item of that list"),
    (dict(modules=('parts.0', )), r"'parts.0', which returns a tensor \(1, 4, 6144\) in Small for an image \(1, 3, 64, 96\)"),
    (dict(modules=('parts.1', )), "'parts.1', which returns a tuple in Small .* an SE module needs a feature map"),
    (dict(modules=()), 'se.modules is missing: .* Small has head, body, tail, idle, parts'),
    (dict(channels=5), 'heads of SEModule is 2, which does not divide the 5 channels'),
])
def test_places_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


class ChannelsLast(Small):

    def forward(self, x):
        return self.tail(self.idle(self.head(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_a_map_with_channels_last():
    with pytest.raises(ValueError, match=r"'idle', which returns a tensor \(1, 64, 96, 64\) .* needs a feature map \(N, C, "):
        SEWrapper(dict(type=ChannelsLast, channels=64), se=dict(type='SEModule', modules=('idle', ), sources=(0, )))


@pytest.mark.parametrize('net, options, message', [
    (dict(type='mmagic.NAFNet', img_channels=1), dict(input_channels=1),
     r'NAFNet made a tensor \(1, 1, 64, 96\) of images \(1, 1, 64, 96\), expected \(1, 3, 64, 96\): give it 3 output channels'),
    (dict(type='torch.nn.Conv2d', in_channels=3, out_channels=3, kernel_size=4), {}, 'set size_divisor if it does not preserve'),
    (dict(type='torch.nn.MaxPool2d', kernel_size=2, return_indices=True), {}, r'MaxPool2d made a tensor \(1, 3, 32, 48\)'),
    (dict(type='torch.nn.Conv2d', in_channels=4, out_channels=3, kernel_size=1), {},
     r'Conv2d does not run on an image \(1, 3, 64, 96\) \(RuntimeError: .*set size_divisor and input_channels'),
    (dict(type=Several, kind=lambda items: 'image'), {}, 'Several made a str of images'),
])
def test_networks_that_cannot_be(net, options, message):
    with pytest.raises(ValueError, match=message):
        SEWrapper(net, **options)


def test_a_package_that_is_not_installed():
    with pytest.raises(ImportError, match='is from the package nowhere_to_be, which is not installed: pip install nowhere_to_be'):
        SEWrapper(dict(type='nowhere_to_be.Unet'))


@pytest.mark.parametrize('name, close', [('NAFnet', 'NAFNet'), ('mmagic.NAFnet', 'mmagic.NAFNet'),
                                         ('mmagic.nothing.NAFNet', 'mmagic.NAFNet'), ('torch.nn.Cov2d', 'torch.nn.Conv2d')])
def test_a_network_that_does_not_exist(name, close):
    with pytest.raises(KeyError, match=rf'net.type names {name}, which is neither .* Did you mean .*{close}\b'):
        SEWrapper(dict(type=name))


def test_a_size_that_the_network_does_not_take(image):
    with pytest.raises(ValueError, match=r'Restormer was given \(2, 3, 32, 60\), but takes multiples of 8'):
        NETWORKS['restormer'].build_small()(image[..., :60])


def editor(name, **changes):
    """An editor with the small network, and a small bank whose semantics are random."""
    network = NETWORKS[name]
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='SKFEditor',
            generator=dict(network.generator, **network.small, se=dict(network.se, type='SEModule')),
            recon_loss=dict(type='mmagic.L1Loss'),
            skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR),
            **changes))
    model.skb.loaded = True
    return model


@NAMES
def test_training_in_bfloat16(name, image):
    """Two iterations with SE, SCH and SA move network, SE modules and discriminator, and nothing of the knowledge bank."""
    model = editor(
        name, sch_loss=dict(type='SCHLoss'), discriminator=dict(type='SADiscriminator'),
        sa_loss=dict(type='SALoss', loss_weight=0.1, patch_size=32, min_pixels=16, edge_width=1)).train()
    optimizers = OptimWrapperDict(**{
        part: Bf16OptimWrapper(torch.optim.SGD(getattr(model, part).parameters(), lr=0.1))
        for part in ('generator', 'discriminator')
    })
    pictures = (image * 255).byte()
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    samples = [DataSample(gt_img=picture, metainfo=meta) for picture in pictures.flip(0)]
    for _ in range(2):
        before = {key: weight.clone() for key, weight in model.state_dict().items()}
        logs = model.train_step(dict(inputs=list(pictures), data_samples=samples), optimizers)
        assert all(torch.isfinite(value) for value in logs.values())
        assert {'loss_recon', 'loss_SCH', 'loss_SA_global', 'loss_SA_local', 'loss_D_global', 'loss_D_local'} < set(logs)
        moved = [key.split('.') for key, weight in model.state_dict().items() if not torch.equal(weight, before[key])]
        assert {key[0] for key in moved} == {'generator', 'discriminator'}
        assert {tuple(key[:3]) for key in moved} >= {('generator', 'se', str(index)) for index in range(3)}
        assert any(key[1] == 'net' for key in moved)


def test_a_prior_of_an_image_that_the_network_does_not_make():
    with pytest.raises(ValueError, match="se_input='pred': SEWrapper makes no image"):
        editor('nafnet', se_input='pred')


def test_averages_over_a_tile_are_those_of_the_whole_image():
    """NAFNet's channel attention would give every tile another brightness."""
    network = SEWrapper(dict(type='mmagic.NAFNet', mid_channels=4, enc_blk_nums=[1], dec_blk_nums=[1])).eval()
    assert len(network._global_pools) == 3
    for name, weight in network.named_parameters():
        if name.endswith(('beta', 'gamma')):  # of the residual branches, 0 before training
            nn.init.ones_(weight)
    image = torch.rand(1, 3, 32, 64)
    image[..., 32:] *= 0.1
    with torch.no_grad(), statistics_of_whole() as values:
        whole = network(image)
    with torch.no_grad(), statistics_of_whole(values):
        tile = network(image[..., :32])
    assert torch.allclose(tile[..., :16], whole[..., :16], atol=1e-6)  # away from the border
    with torch.no_grad():
        assert not torch.allclose(network(image[..., :32])[..., :16], whole[..., :16], atol=1e-3)

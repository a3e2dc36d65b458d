"""What every enhancement network has to do, whatever it is: one test for all of them (see ``networks.py``)."""
from copy import deepcopy

import pytest
import torch
from golden import Golden
from mmagic.structures import DataSample
from mmengine.optim import build_optim_wrapper
from networks import NETWORKS, WIDTHS, small_prior, with_each
from tiny_segmentor import SEGMENTOR

from mmskf.apis import load_config
from mmskf.converters import CONVERSIONS
from mmskf.models import EnhancementNet
from mmskf.models.editors.enhancement_editor import EnhancementEditor, full_size, pad_to_multiple
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

ALL = with_each(NETWORKS)
WITH_SE = with_each([name for name, network in NETWORKS.items() if network.se])
REFERENCES = [(name, reference) for name, network in NETWORKS.items() for reference in network.references]
SIZE = (32, 64)


def image_for(net, size=SIZE, batch=1):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, net.input_channels, *size, generator=generator)


def to(prior, *args):
    """A prior on another device or of another type."""
    logits = prior.logits if prior.logits is None else prior.logits.to(*args)
    return SemanticPrior([feature.to(*args) for feature in prior.features], logits)


@ALL
def test_contract(name):
    """Attributes of the right types, SE modules where they are asked for, and an image of the input's size."""
    network = NETWORKS[name]
    net, plain = network.build_small(), network.build_small(se=False)
    assert isinstance(net, EnhancementNet)
    assert len(net.se_modules) == len((network.se or {}).get('sources', ())) and not plain.se_modules
    assert isinstance(net.size_divisor, int) and net.size_divisor >= 1
    assert isinstance(net.early_image, bool) and isinstance(net.stages, tuple) and not net.test_uses_gt
    assert all(hasattr(net, stage) for stage in net.stages)
    with torch.no_grad():
        assert full_size(net(image_for(net, batch=2), small_prior(*SIZE, batch=2))).shape == (2, 3, *SIZE)


@ALL
def test_parameters(name):
    """In full size, without and with SE modules behind the paper's bank; no weight is made for it."""
    network = NETWORKS[name]
    with torch.device('meta'):
        nets = [network.build(se=False), network.build(widths=WIDTHS)]
    assert tuple(sum(weight.numel() for weight in net.parameters()) for net in nets) == network.parameters
    grown = sum(weight.numel() for module in nets[1].se_modules for weight in module.parameters())
    assert grown == network.parameters[1] - network.parameters[0]


@pytest.mark.parametrize('name, reference, case', [
    pytest.param(name, reference, case, id=f'{reference.name}-{case}')
    for name, reference in REFERENCES for case in reference.cases])
@torch.no_grad()
def test_golden(name, reference, case, device):
    """The same weights in, the same outputs out as the reference implementation."""
    golden, guided = Golden(reference.name), reference.name.endswith('_skf')
    net = full_net(name, reference).to(device)
    inputs = {key: value.to(device) for key, value in golden.inputs(case).items()}
    inputs['prior'] = None
    if guided:
        image = inputs['lr'] if 'lr' in inputs else inputs['x']
        inputs['prior'] = to(SemanticPrior(golden.features(case), golden.full_logits(case, image.shape[-2:])), device)
    seen = {}
    handles = [net.get_submodule(path).register_forward_hook(lambda module, args, output, key=key: seen.update({key: output}))
               for key, path in reference.inner.items()]
    outputs = reference.outputs(net, inputs)
    for handle in handles:
        handle.remove()
    for key, value in outputs.items():
        golden.check(case, key, value)
    for key, value in seen.items():
        if case in golden.meta['outputs'][key]['cases']:
            golden.check(case, key, value)


CACHE = {}


def full_net(name, reference):
    """The network in full size with the reference's weights; the last one is kept for the next case."""
    if reference.name not in CACHE:
        CACHE.clear()
        guided = reference.name.endswith('_skf')
        options = dict(reference.options)
        net = NETWORKS[name].build(options.pop('se', True) if guided else False, WIDTHS, **options)
        conversion = CONVERSIONS[reference.conversion or reference.name]
        net.load_state_dict(conversion.rename(Golden(reference.name).weights()))
        CACHE[reference.name] = net
    return CACHE[reference.name]


@ALL
def test_backward(name, device):
    """In float64: the gradient by a step along itself, and a gradient for every weight that testing uses."""
    net = NETWORKS[name].build_small().double().to(device)
    image, prior = image_for(net).double().to(device), to(small_prior(*SIZE), device, torch.float64)

    def loss():
        return full_size(net(image, prior)).square().mean()

    loss().backward()
    weights = dict(net.named_parameters())
    assert [key for key, weight in weights.items() if weight.grad is None or not weight.grad.isfinite().all()] == []
    weights = [weight for key, weight in weights.items() if key not in NETWORKS[name].stopped]
    squared = sum(weight.grad.square().sum() for weight in weights)
    assert squared > 0
    step = 1e-6 / squared.sqrt()
    with torch.no_grad():
        values = []
        for sign in (1, -2):
            for weight in weights:
                weight.add_(sign * step * weight.grad)
            values.append(loss())
    assert ((values[0] - values[1]) / (2 * step)).item() == pytest.approx(squared.item(), rel=1e-3)


class Editor(EnhancementEditor):
    """An editor around a network that is there already."""

    def test(self, inputs, gt=None):
        return self.generator(inputs, small_prior(*inputs.shape[-2:]))


@ALL
@pytest.mark.parametrize('size', [(1, 1), (7, 50), (37, 21)])
@torch.no_grad()
def test_any_size(name, size):
    """Padded by the editor to what the network takes, and cut to the size of the image."""
    net = NETWORKS[name].build_small()
    editor = Editor.__new__(Editor)
    torch.nn.Module.__init__(editor)
    editor.generator, editor.size_divisor = net, net.size_divisor
    image = image_for(net, size)
    enhanced = editor.enhance(image)
    assert enhanced.shape == (1, 3, *size) and enhanced.isfinite().all()
    padded = pad_to_multiple(image, net.size_divisor)
    whole = full_size(net(padded, small_prior(*padded.shape[-2:])))
    assert torch.equal(enhanced, whole[..., :size[0], :size[1]])


@ALL
@torch.no_grad()
def test_half_precision(name, device):
    """Under autocast to bfloat16 the image is close to float32's."""
    net = NETWORKS[name].build_small().to(device)
    image, prior = image_for(net).to(device), to(small_prior(*SIZE), device)
    whole = full_size(net(image, prior))
    with torch.autocast(device, torch.bfloat16):
        half = full_size(net(image, prior))
    scale = whole.std() + whole.abs().mean()
    assert half.isfinite().all() and (half.float() - whole).abs().mean() < 0.05 * scale


@ALL
@torch.no_grad()
def test_save_and_load(name, tmp_path):
    """Weights in a file make another network the same; so does a deep copy, which then goes its own way."""
    net, other = NETWORKS[name].build_small(), NETWORKS[name].build(**NETWORKS[name].small)
    torch.save(net.state_dict(), tmp_path / 'net.pth')
    other.load_state_dict(torch.load(tmp_path / 'net.pth'))
    image, prior = image_for(net), small_prior(*SIZE)
    expected = full_size(net(image, prior))
    copy = deepcopy(net)
    assert torch.equal(full_size(other(image, prior)), expected) and torch.equal(full_size(copy(image, prior)), expected)
    for weight in copy.parameters():
        weight.mul_(1.1)
    assert torch.equal(full_size(net(image, prior)), expected)


@WITH_SE
@torch.no_grad()
def test_se_has_an_effect(name):
    """Without a prior the network is the baseline; with one, each map that an SE module reads counts, and no other does."""
    network = NETWORKS[name]
    net, plain = network.build_small(), network.build_small(se=False)
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if key in plain.state_dict()})
    image, prior = image_for(net), small_prior(*SIZE)
    baseline, guided = full_size(net(image)), full_size(net(image, prior))
    assert torch.equal(baseline, full_size(plain(image))) and torch.equal(baseline, full_size(plain(image, prior)))
    assert not torch.equal(guided, baseline)
    for source in (0, 1, 2, 3, 'logits'):
        features, logits = list(prior.features), prior.logits
        if source == 'logits':
            logits = logits + torch.randn_like(logits)
        else:
            features[source] = features[source] + torch.randn_like(features[source])
        changed = full_size(net(image, SemanticPrior(features, logits)))
        assert torch.equal(changed, guided) != (source in network.se['sources']), source


@WITH_SE
@torch.no_grad()
def test_the_prior_is_read_in_place(name):
    """SE modules get the prior's own maps, not copies of them, and leave them as they are."""
    network = NETWORKS[name]
    net, prior, seen = network.build_small(), small_prior(*SIZE), []
    before = [feature.clone() for feature in prior.features]
    for module in net.se_modules:
        module.register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    net(image_for(net), prior)
    assert len(seen) == len(network.se['sources'])
    assert all(semantic is prior.source(source) for semantic, source in zip(seen, network.se['sources']))
    assert all(torch.equal(feature, old) for feature, old in zip(prior.features, before))


@with_each([name for name, network in NETWORKS.items() if network.config])
@pytest.mark.filterwarnings('ignore:.*semantics are random')
def test_two_iterations_of_its_config(name):
    """The method with SKF as its config has it, only small: all its losses are finite, and its weights move."""
    cfg = load_config(NETWORKS[name].config)
    cfg.model.generator.update(NETWORKS[name].small)
    cfg.model.skb = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)
    if cfg.model.get('sa_loss'):
        cfg.model.sa_loss.patch_size = 32
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    optimizers = build_optim_wrapper(model, cfg.optim_wrapper)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    low, high = (torch.rand(2, channels, 32, 32) * 255 for channels in (model.input_channels, 3))
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    for _ in range(2):
        samples = [DataSample(gt_img=image, metainfo=meta) for image in high]
        logs = model.train_step(dict(inputs=list(low), data_samples=samples), optimizers)
        assert all(torch.isfinite(torch.as_tensor(value)) for value in logs.values()) and 'loss_SCH' in logs
    moved = {key.split('.')[0] for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {'generator', *(['discriminator'] if model.sa_loss else [])}


@WITH_SE
@torch.no_grad()
def test_a_callable_prior(name):
    """Asked once, for an image of the network's own; refused where the network makes none before its SE modules."""
    net, prior, seen = NETWORKS[name].build_small(), small_prior(*SIZE), []

    def bank(image):
        seen.append(image)
        return prior

    image = image_for(net)
    if not net.early_image:
        with pytest.raises(TypeError, match='makes no image before its SE modules'):
            net(image, bank)
        return
    assert torch.equal(full_size(net(image, bank)), full_size(net(image, prior)))
    assert len(seen) == 1 and seen[0].shape == (1, 3, *SIZE) and not torch.equal(seen[0], image)

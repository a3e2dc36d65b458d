import pytest
import torch
import torch.nn.functional as F
from golden import Golden
from mmagic.models.editors.esrgan.rrdb_net import RRDB

from mmskf.converters import CONVERSIONS
from mmskf.models.editors.llflow.flow import ActNorm, ActNormConv2d, ConditionalFlow, FlowStep, InvertibleConv1x1


@pytest.fixture(scope='module')
def golden():
    return Golden('llflow_blocks')


@pytest.fixture(scope='module')
def step(golden):
    weights = CONVERSIONS['llflow_s'].rename({f'flowUpsamplerNet.layers.3.{key.removeprefix("step.")}': value
                                              for key, value in golden.weights().items() if key.startswith('step.')})
    step = FlowStep(12, 64).eval()
    step.load_state_dict({key.removeprefix('flow.levels.0.2.'): value for key, value in weights.items()})
    return step


def randomize(module, seed=0):
    """Weights with which every layer does something, and no 1x1 matrix is near singular."""
    torch.manual_seed(seed)
    for weight in module.parameters():
        with torch.no_grad():
            weight.add_(0.1 * torch.randn_like(weight))
    return module


def tiny_flow(levels=2):
    torch.manual_seed(0)
    flow = randomize(ConditionalFlow(cond_channels=3, steps=1, levels=levels, hidden=4)).double()
    conds = [torch.randn(2, 3, 8 // 2**(levels - i), 4 // 2**(levels - i), dtype=torch.double) for i in range(levels)]
    return flow, torch.rand(2, 3, 8, 4, dtype=torch.double), conds


@torch.no_grad()
def test_golden_blocks(golden, step):
    inputs = golden.inputs('x')
    z, cond = inputs['z'], inputs['ft']
    for factor in (2, 8):
        golden.check('x', f'squeeze{factor}', F.pixel_unshuffle(inputs['img'], factor))
        golden.check('x', f'unsqueeze{factor}', F.pixel_shuffle(inputs['lat'], factor))
    for name, layers in (('actnorm', ('actnorm', )), ('invconv', ('invconv', )), ('coupling', ('injector', 'coupling')),
                         ('step', step)):
        output, total = z, 0
        for layer in layers:
            output, logdet = step[layer](output, cond)
            total = total + logdet
        golden.check('x', f'{name}_fwd', output)
        golden.check('x', f'{name}_logdet', total)
    golden.check('x', 'invconv_rev', step['invconv'].inverse(z))
    golden.check('x', 'coupling_rev', step['injector'].inverse(step['coupling'].inverse(z, cond), cond))
    golden.check('x', 'step_roundtrip', step.inverse(output, cond))


@torch.no_grad()
def test_golden_rrdb(golden):
    block = RRDB(32)
    block.load_state_dict({key.replace('rrdb.RDB', 'rdb'): value for key, value in golden.weights().items() if 'rrdb' in key})
    feature = golden.inputs('x')['feat']
    golden.check('x', 'rdb1', block.rdb1(feature))
    golden.check('x', 'rrdb', block(feature))


def test_golden_initialisation(golden):
    layer = ActNorm(12)
    output, _ = layer(golden.inputs('x')['z_init'])
    golden.check('x', 'actnorm_init_out', output)
    golden.check('x', 'actnorm_init_bias', layer.bias)
    golden.check('x', 'actnorm_init_logs', layer.logs)


def test_initialisation_happens_once_and_never_to_loaded_weights():
    batch = 3 + 2 * torch.randn(4, 5, 6, 6)
    layer = ActNorm(5)
    assert torch.equal(layer.eval()(batch)[0], batch)
    layer.train()(batch)
    before = layer.bias.clone()
    layer(batch + 1)
    loaded = ActNorm(5)
    loaded.load_state_dict(layer.state_dict())
    loaded(batch + 1)
    assert torch.equal(layer.bias, before) and torch.equal(loaded.bias, before)


def test_initialisation_within_a_convolution():
    batch = torch.rand(4, 5, 6, 6)
    convolution = ActNormConv2d(5, 7, 3)
    output = convolution(batch)
    assert torch.allclose(output.mean(dim=(0, 2, 3)), torch.zeros(7), atol=1e-5)
    assert torch.allclose(output.std(dim=(0, 2, 3), unbiased=False), torch.ones(7), atol=1e-4)
    behind = F.conv2d(batch, convolution.weight, padding=1)
    assert torch.allclose(convolution.actnorm(behind)[0], output, atol=1e-5)


@pytest.mark.parametrize('levels', [1, 2])
def test_logdet_is_that_of_the_jacobian(levels):
    flow, image, conds = tiny_flow(levels)
    flow.eval()
    _, logdet = flow(image, conds)
    for n in range(2):
        one = [cond[n:n + 1] for cond in conds]
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x, one)[0], image[n:n + 1])
        assert torch.linalg.slogdet(jacobian.view(96, 96)).logabsdet.item() == pytest.approx(logdet[n].item(), abs=1e-9)


@pytest.mark.parametrize('training', [True, False])
def test_inverse(training):
    flow, image, conds = tiny_flow()
    flow.train(training)
    latent, _ = flow(image, conds)
    assert (flow.inverse(latent, conds) - image).abs().max() < 1e-12
    one = [cond[:1] for cond in conds]
    forward = torch.autograd.functional.jacobian(lambda x: flow(x, one)[0], image[:1]).view(96, 96)
    backward = torch.autograd.functional.jacobian(lambda z: flow.inverse(z, one), latent[:1].detach()).view(96, 96)
    assert (forward @ backward - torch.eye(96)).abs().max() < 1e-10


def test_gradients():
    """Of weights and conditions, through latent, logdet and the way back."""
    flow, image, conds = tiny_flow()
    latent, _ = flow(image, conds)
    step = flow.levels[0][2]
    weights = [step['actnorm'].logs, step['invconv'].weight, step['coupling'].net[2].actnorm.logs, step['injector'].net[4].logs]

    def outputs(*weights):
        return (*flow(image, conds), flow.inverse(latent.detach(), conds))

    assert torch.autograd.gradcheck(outputs, [cond.requires_grad_() for cond in conds] + weights, fast_mode=True)


def test_inverse_matrices_are_computed_once(monkeypatch):
    flow, image, conds = tiny_flow()
    calls = []
    invert = torch.linalg.inv_ex
    monkeypatch.setattr(torch.linalg, 'inv_ex', lambda matrix: calls.append(1) or invert(matrix))
    flow.eval()
    with torch.inference_mode():
        first = flow.inverse(image, conds)
        assert torch.equal(flow.inverse(image, conds), first)
    assert len(calls) == 6
    with torch.no_grad():
        flow.inverse(image, conds)
    assert len(calls) == 6
    # Other weights, in whatever way, or another type: what was cached is no longer true.
    flow.load_state_dict(randomize(tiny_flow()[0], seed=1).state_dict())
    with torch.no_grad():
        assert (flow(flow.inverse(image, conds), conds)[0] - image).abs().max() < 1e-6
        for change in (lambda weight: weight.copy_(weight.roll(1, 0)), lambda weight: weight.data.copy_(weight.roll(1, 0))):
            change(flow.levels[1][0]['invconv'].weight)
            assert (flow(flow.inverse(image, conds), conds)[0] - image).abs().max() < 1e-6
        flow.float()
        assert flow.inverse(image.float(), [cond.float() for cond in conds]).dtype == torch.float32


@pytest.mark.parametrize('matrix', [torch.zeros(4, 4), torch.diag(torch.tensor([1., 1., 1., 1e-8]))])
def test_a_singular_matrix_is_named(matrix):
    layer = InvertibleConv1x1(4).eval()
    layer.name = 'flow.levels.0.1.invconv'
    layer.weight.data = matrix
    with pytest.raises(ValueError, match='1x1 matrix of flow.levels.0.1.invconv has become singular'):
        layer.inverse(torch.rand(1, 4, 2, 2))


def test_a_matrix_that_is_nearly_singular_is_named_once():
    layer = InvertibleConv1x1(4).eval()
    layer.name = 'flow.levels.0.1.invconv'
    layer.weight.data = torch.diag(torch.tensor([1., 1., 1., 1e-5]))
    with pytest.warns(UserWarning, match='flow.levels.0.1.invconv is close to singular .condition number 1.73e[+]05') as caught:
        for _ in range(2):
            layer.inverse(torch.rand(1, 4, 2, 2))
    assert len(caught) == 1

"""The flow that keeps no activations: its gradients are those of the flow that keeps them."""
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from mmagic.structures import DataSample
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from saved_tensors import kept_bytes
from test_llflow_flow import randomize
from tiny_llflow import tiny_llflow

from mmskf.models.editors.llflow import reversible
from mmskf.models.editors.llflow.flow import ActNorm, ConditionalFlow


def flow_of(steps=2, hidden=4, seed=0, dtype=torch.double):
    torch.manual_seed(seed)
    return randomize(ConditionalFlow(cond_channels=3, steps=steps, levels=2, hidden=hidden)).to(dtype)


def inputs(dtype=torch.double, size=(8, 16)):
    torch.manual_seed(1)
    conds = [torch.randn(2, 3, size[0] // scale, size[1] // scale, dtype=dtype) for scale in (4, 2)]
    return torch.rand(2, 3, *size, dtype=dtype).requires_grad_(), [cond.requires_grad_() for cond in conds]


def gradients(flow, image, conds, on=True):
    """Of image, conditions and weights, by a function in which every value of latent and logdet counts differently."""
    flow.reversible = on
    latent, logdet = flow(image, conds)
    loss = (latent * torch.linspace(-1, 2, latent.numel()).view_as(latent)).sin().sum() + (logdet * torch.tensor([1., -2.])).sum()
    return torch.autograd.grad(loss, [tensor for tensor in (image, *conds, *flow.parameters()) if tensor.requires_grad])


def difference(some, others):
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(some, others, strict=True))


@contextmanager
def walks(monkeypatch):
    """Counts the ways back, and notes how far each ended from where the way there had begun."""
    seen, walk = [], reversible._walk_back

    def spy(ctx, *args):
        restored, gradients = walk(ctx, *args)
        seen.append((restored - ctx.saved_tensors[0]).abs().max().item())
        return restored, gradients

    with monkeypatch.context() as patch:
        patch.setattr(reversible, '_walk_back', spy)
        yield seen


def test_gradients_in_double_precision(monkeypatch):
    flow, (image, conds) = flow_of(), inputs()
    with walks(monkeypatch) as seen:
        ours = gradients(flow, image, conds)
    assert difference(ours, gradients(flow, image, conds, on=False)) < 1e-10
    assert len(seen) == 2 and all(0 < drift < 1e-12 for drift in seen)


def test_the_way_there_is_the_same():
    flow, (image, conds) = flow_of(), inputs()
    expected = flow(image, conds)
    flow.reversible = True
    latent, logdet = flow(image, conds)
    assert torch.equal(latent, expected[0]) and torch.allclose(logdet, expected[1], rtol=1e-14)
    with torch.no_grad():
        assert all(map(torch.equal, flow(image, conds), expected))


def test_first_statistics():
    """The first batch initializes the ActNorms, those inside the networks too, and trains what it has initialized."""
    flow, (image, conds) = flow_of().train(), inputs()
    for module in flow.modules():
        if isinstance(module, ActNorm):
            torch.nn.init.zeros_(module.bias)
    other = deepcopy(flow)
    assert difference(gradients(flow, image, conds), gradients(other, image, conds, on=False)) < 1e-10
    assert all(map(torch.equal, flow.parameters(), other.parameters()))
    assert flow.levels[0][2]['coupling'].net[0].actnorm.bias.any()


def test_frozen_weights():
    flow, (image, conds) = flow_of(), inputs()
    flow.levels[0].requires_grad_(False)
    flow.levels[1][2]['coupling'].net[0].requires_grad_(False)
    partly = image.detach(), [conds[0], conds[1].detach()]
    assert difference(gradients(flow, *partly), gradients(flow, *partly, on=False)) < 1e-10


def test_memory_does_not_grow_with_the_steps():
    def kept(steps, on):
        flow, (image, conds) = flow_of(steps), inputs()
        flow.reversible = on
        return kept_bytes(flow, image, conds)[0]

    values = 2 * 3 * 8 * 16
    # Before and after each of two levels, and the conditions of 3 channels at 1/2 and 1/4.
    assert kept(1, on=True) == kept(5, on=True) == 8 * (2 * 2 * values + values // 4 + values // 16)
    assert kept(5, on=False) > 2 * kept(1, on=False) > 4 * kept(1, on=True)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision(monkeypatch, dtype):
    """The networks round differently where a restored value is a little off, but by less than half precision costs anyway."""
    flow, (image, conds) = flow_of(4, 16, dtype=torch.float), inputs(torch.float, (32, 32))
    exact = gradients(flow, image, conds, on=False)

    def half(on):
        with torch.autocast('cpu', dtype):
            return gradients(flow, image, conds, on)

    with walks(monkeypatch) as seen:
        ours = half(True)
    plain = half(False)
    joined = [torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (ours, plain, exact)]
    own_error, of_half = ((joined[i] - joined[i + 1]).norm() for i in range(2))
    assert len(seen) == 2 and 0 < own_error < 0.5 * of_half


def test_where_the_inverse_is_ill_conditioned(monkeypatch):
    """Scales near 0 lose the values that they scale: then nothing is restored, and the gradients are exact."""
    flow, (image, conds) = flow_of(4, dtype=torch.float), inputs(torch.float)
    with torch.no_grad():
        for step in flow.levels[1][2:]:
            step['coupling'].net[4].bias[1::2] = -8.
    with walks(monkeypatch) as seen:
        ours = gradients(flow, image, conds)
    assert len(seen) == 3 and seen[0] > 1e-3 and seen[1] == 0.
    assert difference(ours, gradients(flow, image, conds, on=False)) < 1e-5


def test_second_derivatives_are_refused():
    flow, (image, conds) = flow_of(), inputs()
    flow.reversible = True
    with pytest.raises(RuntimeError, match='reversible flow has no second derivatives.*set model.generator.reversible=False'):
        torch.autograd.grad(flow(image, conds)[0].sum(), image, create_graph=True)


def test_weights_that_have_changed_in_between():
    flow, (image, conds) = flow_of(), inputs()
    flow.reversible = True
    latent, _ = flow(image, conds)
    with torch.no_grad():
        flow.levels[0][0]['actnorm'].bias.add_(1)
    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        latent.sum().backward()


def training_gradients(model, autocast=False):
    torch.manual_seed(0)
    lq, gt = torch.rand(2, 6, 32, 32), torch.rand(2, 3, 32, 32)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        losses = model.train()(lq, DataSample(gt_img=gt), mode='loss')
    return torch.autograd.grad(sum(losses.values()), list(model.generator.parameters()))


def test_inside_an_activation_checkpoint():
    """mmengine's ``activation_checkpointing=generator`` runs the whole network once more, and the flow back from there."""
    expected = training_gradients(tiny_llflow())
    model = tiny_llflow(dict(reversible=True, with_cp=True))
    turn_on_activation_checkpointing(model, 'generator')
    assert difference(training_gradients(model), expected) < 1e-5


def test_averaged_weights():
    """A copy of the model restores with its own weights."""
    model = tiny_llflow(dict(reversible=True, with_cp=True))
    average = ExponentialMovingAverage(model, momentum=0.5)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.01)
    average.update_parameters(model)
    copied, plain = average.module.requires_grad_(), tiny_llflow()
    plain.load_state_dict(copied.state_dict())
    assert difference(training_gradients(copied), training_gradients(plain)) < 1e-5

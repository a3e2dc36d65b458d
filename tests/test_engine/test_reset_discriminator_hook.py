from types import SimpleNamespace

import torch
from torch import nn

from mmskf.engine import ResetDiscriminatorHook


def test_discriminator_starts_anew_every_epoch():
    model = nn.Module()
    model.discriminator, model.generator = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.Conv2d(3, 3, 1)
    optimizer = torch.optim.Adam(model.discriminator.parameters())
    model.discriminator(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    runner = SimpleNamespace(model=model, optim_wrapper=dict(discriminator=SimpleNamespace(optimizer=optimizer)))
    hook = ResetDiscriminatorHook(interval=4)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    for runner.iter in (0, 3, 5):
        hook.before_train_iter(runner, runner.iter)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()) and optimizer.state

    runner.iter = 8
    hook.before_train_iter(runner, 8)
    after = model.state_dict()
    assert not torch.equal(after['discriminator.0.weight'], before['discriminator.0.weight'])
    assert not after['discriminator.1.running_mean'].any() and torch.equal(after['generator.weight'], before['generator.weight'])
    assert not optimizer.state

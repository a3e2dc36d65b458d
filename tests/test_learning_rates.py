"""The learning rates of whole trainings, as the authors' schedulers set them."""
import json

import pytest
import torch
from golden import golden_file
from mmengine.optim import OptimWrapper

from mmskf.apis import load_config
from mmskf.registry import PARAM_SCHEDULERS

pytestmark = pytest.mark.filterwarnings('ignore:Detected call')


def learning_rates(cfg, steps):
    """The learning rates in force in so many iterations, or epochs if the schedules count these."""
    optimizer = OptimWrapper(torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=cfg.optim_wrapper.optimizer.lr))
    schedulers = [PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer)) for scheduler in cfg.param_scheduler]
    rates = []
    for _ in range(steps):
        rates += optimizer.get_lr()['lr']
        for scheduler in schedulers:
            scheduler.step()
    return rates


def expected(method):
    rates = json.loads(golden_file('lr_schedules_compared.json').read_text())[method]
    return {int(step) - 1: rate for step, rate in rates.items()}


def test_two_cosine_cycles():
    """Retinexformer and MIRNet-v2, which share them: the first cycle rises."""
    cfg, other = load_config('retinexformer_lol'), load_config('mirnet_v2_lol')
    assert cfg.param_scheduler == other.param_scheduler and cfg.optim_wrapper == other.optim_wrapper
    assert cfg.train_cfg == other.train_cfg and expected('retinexformer') == expected('mirnet_v2')
    rates = learning_rates(cfg, cfg.train_cfg.max_iters)
    for step, rate in expected('retinexformer').items():
        assert rates[step] == pytest.approx(rate, rel=1e-8), step


@pytest.mark.parametrize('data, batches', [('lol', 61), ('lolv2', 87)])
def test_epochs_of_cidnet(data, batches):
    """A warm-up by epochs, then a cosine; the first epoch, which the authors train with 0, is like the second."""
    cfg = load_config(f'cidnet_{data}')
    assert cfg.default_hooks.param_scheduler.epoch_length == batches and cfg.train_cfg.max_iters == 1000 * batches
    rates, authors = learning_rates(cfg, 1000), expected('cidnet')
    assert authors.pop(0) == 0 and rates[0] == pytest.approx(authors[1])
    for step, rate in authors.items():
        assert rates[step] == pytest.approx(rate, rel=1e-7), step


@pytest.mark.parametrize('data, small, large', [('lol', 48, 30), ('lolv2', 68, 43)])
def test_stages_of_issr(data, small, large):
    """By epochs of the four stages."""
    cfg = load_config(f'issr_{data}')
    stages = ((small, [(2000, 1e-3)]), (large, [(50, 1e-4), (450, 2e-5)]), (small, [(50, 1e-4), (350, 2e-5), (600, 1e-5)]),
              (small, [(50, 1e-4), (150, 2e-5), (300, 1e-5)]))
    assert [stage.iters for stage in cfg.train_cfg.stages] == [
        batches * sum(epochs for epochs, _ in parts) for batches, parts in stages]
    rates = torch.tensor([rate for batches, parts in stages for epochs, rate in parts for _ in range(epochs * batches)])
    assert torch.allclose(torch.tensor(learning_rates(cfg, len(rates))), rates, rtol=1e-6, atol=0)

import pytest
from mmengine.hooks import Hook
from tiny import loader, tiny_runner, write_pairs

from mmskf.engine import ParamSchedulerHook


class KeepLearningRates(Hook):

    def __init__(self):
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


def train(work_dir, folder, iterations, **config):
    runner = tiny_runner(
        work_dir, train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations), train_dataloader=loader(folder),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
        param_scheduler=[dict(type='MultiStepLR', by_epoch=True, milestones=[1, 2], gamma=0.5, end=3),
                         dict(type='MultiStepLR', by_epoch=False, milestones=[5], gamma=0.1)],
        default_hooks=dict(param_scheduler=dict(type='ParamSchedulerHook', epoch_length=2),
                           checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=3)), **config)
    keep = KeepLearningRates()
    runner.register_hook(keep)
    runner.train()
    return [rate / 1e-3 for rate in keep.rates], runner.optim_wrapper.get_lr()['lr'][0] / 1e-3


def test_schedules_by_epoch_and_by_iteration(tmp_path):
    """In one training, and in the same one interrupted within an epoch."""
    folder = write_pairs(tmp_path / 'pairs')
    rates, last = train(tmp_path / 'whole', folder, 7)
    assert rates == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.025, 0.025])
    assert last == pytest.approx(0.025)  # the end of the training is not the end of an epoch
    resumed, _ = train(tmp_path / 'resumed', folder, 7, load_from=str(tmp_path / 'whole' / 'iter_3.pth'), resume=True)
    assert resumed == pytest.approx(rates[3:])


@pytest.mark.parametrize('schedule, hook, message', [
    (dict(end=3), {}, 'MultiStepLR is epoch-based.*set by_epoch=False in it, or .*default_hooks.param_scheduler.epoch_length'),
    ({}, dict(epoch_length=2), 'MultiStepLR is epoch-based.*set its end'),
])
def test_schedules_that_would_never_act(tmp_path, schedule, hook, message):
    runner = tiny_runner(
        tmp_path / 'work', train_cfg=dict(type='IterBasedTrainLoop', max_iters=2),
        train_dataloader=loader(write_pairs(tmp_path / 'pairs')),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
        param_scheduler=dict(type='MultiStepLR', milestones=[1], **schedule),
        default_hooks=dict(param_scheduler=dict(type='ParamSchedulerHook', **hook)))
    with pytest.raises(ValueError, match=message):
        runner.train()


def test_epochs_of_a_loop_by_epoch(tmp_path):
    """Three images, one in a batch."""
    runner = tiny_runner(
        tmp_path / 'work', train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
        train_dataloader=loader(write_pairs(tmp_path / 'pairs')),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
        param_scheduler=dict(type='MultiStepLR', milestones=[1], gamma=0.5))
    keep = KeepLearningRates()
    runner.register_hook(keep)
    runner.train()
    assert keep.rates == [1e-3] * 3 + [5e-4] * 3


def test_an_epoch_has_iterations():
    with pytest.raises(ValueError, match='epoch_length=0'):
        ParamSchedulerHook(0)

from itertools import chain

from mmengine.hooks import ParamSchedulerHook as BaseParamSchedulerHook
from mmengine.hooks.param_scheduler_hook import DATA_BATCH
from mmengine.runner import IterBasedTrainLoop, Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(BaseParamSchedulerHook):
    """mmengine's hook, which also applies epoch-based learning-rate schedules in iteration-based training.

    mmengine treats an ``IterBasedTrainLoop`` as a single epoch, whatever its length, so schedules with ``by_epoch=True`` have no
    effect there; and those that ``convert_to_iter_based`` converts change at every iteration.

    Args:
        epoch_length (int, optional): Iterations per epoch. Defaults to None: epochs are those of the training loop.

    Raises:
        ValueError: If ``epoch_length`` is below 1; when training starts, if a schedule would never have an effect.
    """

    def __init__(self, epoch_length: int | None = None):
        if epoch_length is not None and epoch_length < 1:
            raise ValueError(f'ParamSchedulerHook: epoch_length={epoch_length!r}, choose 1 or more iterations')
        self.epoch_length = epoch_length

    def before_train(self, runner: Runner) -> None:
        """Rejects schedules that would never have an effect."""
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            return
        schedulers = runner.param_schedulers or []
        for scheduler in schedulers if isinstance(schedulers, list) else chain(*schedulers.values()):
            if not scheduler.by_epoch or getattr(scheduler, 'need_val_args', False):  # the latter act after validations
                continue
            name = f'param_scheduler: {type(scheduler).__name__} is epoch-based, but this training counts iterations'
            if self.epoch_length is None:
                raise ValueError(f'{name}: set by_epoch=False in it, or the iterations per epoch in '
                                 'default_hooks.param_scheduler.epoch_length')
            if scheduler.end <= 1:
                raise ValueError(f'{name}: set its end, the number of the epoch that it ends with')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: dict | None = None) -> None:
        """Steps iteration-based schedules, and epoch-based ones at the end of an epoch."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self.epoch_length and self.every_n_train_iters(runner, self.epoch_length):
            super().after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Steps epoch-based schedules if epochs are those of the training loop."""
        if self.epoch_length is None:
            super().after_train_epoch(runner)

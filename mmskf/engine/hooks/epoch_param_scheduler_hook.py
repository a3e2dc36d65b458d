
from mmengine.hooks import ParamSchedulerHook
from mmengine.hooks.param_scheduler_hook import DATA_BATCH
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class EpochParamSchedulerHook(ParamSchedulerHook):
    """Lets schedules by epoch act in a training that is counted in iterations.

    mmengine's ``IterBasedTrainLoop`` is one epoch for it, whatever its length, so that schedules with ``by_epoch=True`` never
    act there; and what it converts by ``convert_to_iter_based`` changes in every iteration.

    Args:
        epoch_length (int): Iterations of an epoch.

    Raises:
        ValueError: If an epoch would have no iteration.
    """

    def __init__(self, epoch_length: int):
        if epoch_length < 1:
            raise ValueError(f'EpochParamSchedulerHook: epoch_length={epoch_length!r}, choose 1 or more iterations')
        self.epoch_length = epoch_length

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None,
                         outputs: dict | None = None) -> None:
        """Schedules by iteration act in every one, those by epoch after the last one of an epoch."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self.every_n_train_iters(runner, self.epoch_length):
            super().after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Does nothing: this is the end of the training."""

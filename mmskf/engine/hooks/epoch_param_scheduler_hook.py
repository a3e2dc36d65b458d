from mmengine.hooks import ParamSchedulerHook
from mmengine.hooks.param_scheduler_hook import DATA_BATCH
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class EpochParamSchedulerHook(ParamSchedulerHook):
    """Applies epoch-based learning-rate schedules in iteration-based training.

    mmengine treats an ``IterBasedTrainLoop`` as a single epoch, whatever its length, so schedules with ``by_epoch=True`` have no
    effect there; and those that ``convert_to_iter_based`` converts change at every iteration.

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
        """Steps iteration-based schedules every iteration, epoch-based ones after the last iteration of an epoch."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self.every_n_train_iters(runner, self.epoch_length):
            super().after_train_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Does nothing: this is the end of training."""

from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.runner import BaseLoop, Runner
from mmengine.runner import IterBasedTrainLoop as BaseIterBasedTrainLoop
from mmengine.runner.loops import calc_dynamic_intervals
from torch import nn
from torch.utils.data import DataLoader

from mmskf.datasets.resumable import resumable
from mmskf.registry import LOOPS


@LOOPS.register_module()
class IterBasedTrainLoop(BaseIterBasedTrainLoop):
    """mmengine's, but a resumed training continues exactly, without loading images that it has already seen.

    The sampler skips them, and the random numbers of the pipeline depend only on the position of a sample (see
    :mod:`mmskf.datasets.resumable`): a resumed training gets the batches that the uninterrupted one would have got, with any
    number of workers. A validation that was due when the checkpoint was saved is run first.

    Args:
        runner (Runner): The Runner.
        dataloader (DataLoader or dict): The source of the batches.
        max_iters (int): Iterations of the training.
        val_begin (int): The first iteration with a validation. Defaults to 1.
        val_interval (int): Iterations between validations. Defaults to 1000.
        dynamic_intervals (list[tuple[int, int]], optional): Pairs of the iteration from which ``val_interval`` changes and its
            new value. Defaults to None.

    Raises:
        ValueError: If the data set has no indices.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: DataLoader | dict,
                 max_iters: int,
                 val_begin: int = 1,
                 val_interval: int = 1000,
                 dynamic_intervals: list[tuple[int, int]] | None = None):
        # Not mmengine's, which starts the workers here, before it is known whether the training is resumed.
        BaseLoop.__init__(self, runner, dataloader)
        if int(max_iters) != max_iters:
            raise ValueError(f'train_cfg.max_iters is {max_iters}: expected an integer')
        self.dataloader: DataLoader = resumable(self.dataloader, runner.seed)
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self._max_iters = int(max_iters)
        self._max_epochs = 1  # as in mmengine: the training is one epoch
        self._epoch = self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False  # EarlyStoppingHook sets it
        self.dataloader_iterator: Iterator | None = None
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)

    def run(self) -> nn.Module:
        """Trains, starting from the iteration that the Runner has resumed."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        if self._iter == 0:
            self.runner.message_hub.update_info('iter_validated', 0)
        else:
            self._validate_if_due()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(self.next_batch())
            self._validate_if_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def next_batch(self) -> Sequence[dict]:
        """The batch of the current iteration."""
        if self.dataloader_iterator is None:
            self.dataloader_iterator = self.batches_from(self._iter)
        return next(self.dataloader_iterator)

    def batches_from(self, begin: int) -> Iterator:
        """Starts the data loader at batch ``begin``."""
        if begin > 0:
            self.runner.logger.info(f'Skipping the first {begin} batches without loading them: training has already seen them')
        sampler: Any = self.dataloader.batch_sampler  # a PositionedBatches
        sampler.begin = begin
        return iter(self.dataloader)

    def _validate_if_due(self) -> None:
        self._decide_current_val_interval()
        hub = self.runner.message_hub
        if (self.runner.val_loop is not None and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
                and hub.runtime_info.get('iter_validated') != self._iter):
            # Saved in checkpoints, so that a resumed training knows whether a validation is still due.
            hub.update_info('iter_validated', self._iter)
            self.runner.val_loop.run()

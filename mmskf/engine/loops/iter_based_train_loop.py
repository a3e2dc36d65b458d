from typing import List, Optional, Sequence, Tuple, Union

from mmengine.runner import BaseLoop
from mmengine.runner import IterBasedTrainLoop as BaseIterBasedTrainLoop
from mmengine.runner.loops import calc_dynamic_intervals
from torch import nn
from torch.utils.data import DataLoader

from mmskf.datasets.resumable import resumable
from mmskf.registry import LOOPS


@LOOPS.register_module()
class IterBasedTrainLoop(BaseIterBasedTrainLoop):
    """mmengine's, but a training that is resumed loads no image that it has already seen, and goes on exactly.

    Skipping is up to the sampler, and what the pipeline draws at random depends on the position of a sample alone (see
    :mod:`mmskf.datasets.resumable`): a resumed training gets the batches that the uninterrupted one would have got, with any
    number of workers. A validation that was due when the checkpoint was saved is made up for.

    Args:
        runner (Runner): The Runner.
        dataloader (DataLoader or dict): Yields the batches.
        max_iters (int): Iterations of the training.
        val_begin (int): The first iteration with a validation. Defaults to 1.
        val_interval (int): Iterations from a validation to the next. Defaults to 1000.
        dynamic_intervals (list[tuple[int, int]], optional): Iterations from which ``val_interval`` is another, and which.
            Defaults to None.

    Raises:
        ValueError: If the data set has no indices.
    """

    def __init__(self,
                 runner,
                 dataloader: Union[DataLoader, dict],
                 max_iters: int,
                 val_begin: int = 1,
                 val_interval: int = 1000,
                 dynamic_intervals: Optional[List[Tuple[int, int]]] = None):
        # Not mmengine's, which starts the workers here, where it is not yet known whether the training is resumed.
        BaseLoop.__init__(self, runner, dataloader)
        if int(max_iters) != max_iters:
            raise ValueError(f'train_cfg.max_iters is {max_iters}: expected a whole number')
        self.dataloader = resumable(self.dataloader, runner.seed)
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self._max_iters = int(max_iters)
        self._max_epochs = 1  # as in mmengine: the training is one epoch
        self._epoch = self._iter = 0
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.stop_training = False  # EarlyStoppingHook sets it
        self.dataloader_iterator = None
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)

    def run(self) -> nn.Module:
        """Trains, from the iteration on that the Runner has resumed."""
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
            self.start_loading(self._iter)
        return next(self.dataloader_iterator)

    def start_loading(self, begin: int):
        """Makes the data loader start at its batch ``begin``."""
        if begin > 0:
            self.runner.logger.info(f'The first {begin} batches are skipped, without being loaded: the training has had them')
        self.dataloader.batch_sampler.begin = begin
        self.dataloader_iterator = iter(self.dataloader)

    def _validate_if_due(self):
        self._decide_current_val_interval()
        hub = self.runner.message_hub
        if (self.runner.val_loop is not None and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters)
                and hub.runtime_info.get('iter_validated') != self._iter):
            # Checkpoints hold it, so that a resumed training knows of a validation that it still owes.
            hub.update_info('iter_validated', self._iter)
            self.runner.val_loop.run()

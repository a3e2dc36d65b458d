from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, set_random_seed
from torch import nn

from mmskf.datasets.resumable import resumable
from mmskf.registry import LOG_PROCESSORS, LOOPS
from mmskf.utils.options import stage_dataloader

from ..log_processor import LogProcessor
from .iter_based_train_loop import IterBasedTrainLoop


class Stage(NamedTuple):
    """A stage of a training: its iterations are ``begin`` to ``end`` - 1 of the whole."""
    name: str
    begin: int
    end: int


@LOOPS.register_module()
class StagedTrainLoop(IterBasedTrainLoop):
    """Trains the subnets of a model one after the other: RetinexNet, KinD, KinD++.

    The model has ``stages``, their names in order, and ``stage``, which this loop sets to the current one; it returns the loss
    of that stage, and trains the weights that this loss depends on. There is one optimizer and one schedule: iterations are
    counted across all stages. PyTorch's optimizers do not touch weights without a gradient, whatever their momentum. A resumed
    training continues in the stage where it was interrupted, with the images that come next there.

    Args:
        runner (Runner): The Runner.
        dataloader (dict): ``train_dataloader`` of the Runner.
        stages (list[dict]): One for each stage of the model, in its order. ``name``: the model's name of the stage. ``iters``:
            number of iterations; 0 skips the stage, for a model that starts from pretrained weights (``load_from``).
            ``dataloader``: optional, overrides fields of ``train_dataloader`` the way a config overrides its base; an item of a
            list is named by its type or its index, as in ``dataset=dict(pipeline=dict(RandomCrop=dict(crop_size=48)))``.
        val_begin (int, optional): The first iteration with a validation. Defaults to None: the first one of the last stage,
            since there is no enhanced image before.
        **kwargs: See :class:`IterBasedTrainLoop`.

    Raises:
        KeyError: If ``dataloader`` names an item that a list does not have.
        TypeError: If the Runner was given a data loader instead of its config.
        ValueError: If the stages are not those of the model, or one has an unknown field.
    """

    def __init__(self, runner: Runner, dataloader: dict, stages: Sequence[dict], val_begin: int | None = None,
                 **kwargs: Any) -> None:
        if not isinstance(dataloader, dict):
            raise TypeError('StagedTrainLoop builds a data loader for each stage: give the Runner train_dataloader as a config, '
                            f'not as a {type(dataloader).__name__}')
        self.model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_stages(stages, self.model)
        ends = list(accumulate(stage['iters'] for stage in stages))
        self.stages = [Stage(stage['name'], end - stage['iters'], end) for stage, end in zip(stages, ends)]
        # All of them at once, so that a missing folder stops the training before it starts.
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        self.dataloaders: list = [
            resumable(runner.build_dataloader(stage_dataloader(dataloader, stage), runner.seed + number, diff_rank_seed),
                      runner.seed + number) for number, stage in enumerate(stages)]
        self.current: int | None = None
        if val_begin is None:
            val_begin = self.stages[-1].begin + 1
        super().__init__(runner, self.dataloaders[0], max_iters=ends[-1], val_begin=val_begin, **kwargs)

    @property
    def position(self) -> tuple[int, Stage]:
        """Index and description of the stage that the current iteration belongs to; after the end, of the last one."""
        return self._position_of(self._iter)

    def _position_of(self, iteration: int) -> tuple[int, Stage]:
        return next(((number, stage) for number, stage in enumerate(self.stages) if iteration < stage.end),
                    (len(self.stages) - 1, self.stages[-1]))

    def next_batch(self) -> Sequence[dict]:
        """The batch of the current iteration, from the data loader of its stage."""
        number, stage = self.position
        if number != self.current:
            self._begin(number, stage)
            self.current = number
        return super().next_batch()

    def _validate_if_due(self) -> None:
        if self.current is None:  # resumed: the validation belongs to the iteration before
            self.model.stage = self._position_of(self._iter - 1)[1].name
        super()._validate_if_due()

    def _begin(self, number: int, stage: Stage) -> None:
        """Switches to a stage, and within it to the iteration to continue with."""
        self.model.stage = stage.name
        done = self._iter - stage.begin
        self.runner.logger.info(
            f'Stage {number + 1} of {len(self.stages)}: {stage.name}, {stage.end - stage.begin} iterations'
            + (f', of which {done} are done' if done else ''))
        if done == 0:
            # The log shows means over the last iterations, which must not span stages.
            scalars = self.runner.message_hub.log_scalars
            for name in [name for name in scalars if name.startswith('train/')]:
                del scalars[name]
        # Random numbers in this process depend only on the stage, not on what came before: a resumed training can repeat them.
        set_random_seed(self.runner.seed + number, diff_rank_seed=self.runner._randomness_cfg.get('diff_rank_seed', False))
        # The workers of the earlier loaders end when nothing references these any more.
        self.dataloader_iterator = None
        self.dataloaders[:number] = [None] * number
        self.dataloader = self.dataloaders[number]
        self.dataloader_iterator = self.batches_from(done)


def check_stages(stages: Sequence[dict], model: nn.Module) -> None:
    """Rejects stages that a model does not have, or has in another order.

    Raises:
        ValueError: Names the given and the expected stages.
    """
    known = getattr(model, 'stages', None)
    if known is None:
        raise ValueError(f'{type(model).__name__} is not trained in stages: use an editor that is, such as StagedEditor, or '
                         'train_cfg=dict(type="IterBasedTrainLoop", max_iters=...)')
    for stage in stages:
        unknown = set(stage) - {'name', 'iters', 'dataloader'}
        if unknown or not isinstance(stage.get('iters'), int) or stage['iters'] < 0:
            raise ValueError(f'train_cfg.stages has the stage {dict(stage)}: it takes name, iters (0 or more) and dataloader')
    names = [stage.get('name') for stage in stages]
    if names != list(known):
        raise ValueError(f'train_cfg.stages has the stages {names}, but the model is trained in the stages {list(known)}: '
                         'give these, in this order; a stage with iters=0 is skipped')


@LOG_PROCESSORS.register_module()
class StagedLogProcessor(LogProcessor):
    """Shows in each log line which stage a training is in: 'Stage 1 of 2: decom [50/9200]'.

    Args:
        **kwargs: See ``mmengine.runner.LogProcessor``.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """As mmengine's, with the stage in front of the line and its number, from 1, as 'stage' in the scalars."""
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode == 'train' and isinstance(runner.train_loop, StagedTrainLoop):
            number, stage = runner.train_loop.position
            done = runner.iter + 1 - stage.begin
            tag['stage'] = number + 1
            line = (f'Stage {number + 1} of {len(runner.train_loop.stages)}: {stage.name} '
                    f'[{done}/{stage.end - stage.begin}]  {line}')
        return tag, line

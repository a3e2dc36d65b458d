from mmengine.hooks import EarlyStoppingHook as BaseEarlyStoppingHook
from mmengine.runner import Runner

from mmskf.evaluation import GREATER_IS_BETTER, LESS_IS_BETTER, is_nan
from mmskf.registry import HOOKS

from .checkpoint_hook import CheckpointHook


@HOOKS.register_module()
class EarlyStoppingHook(BaseEarlyStoppingHook):
    """mmengine's, but it knows for every metric of mmskf and mmagic whether higher or lower is better.

    Its state is part of a checkpoint, so that a resumed training stops where it would have stopped. A score that could not be
    measured is ignored, with a warning. When it stops a training, it saves a checkpoint.

    Args:
        **kwargs: See ``mmengine.hooks.EarlyStoppingHook``.
    """
    priority = 'LOW'  # before CheckpointHook
    wait_count: int
    best_score: float
    _default_greater_keys = [*BaseEarlyStoppingHook._default_greater_keys, *GREATER_IS_BETTER]
    _default_less_keys = [*BaseEarlyStoppingHook._default_less_keys, *LESS_IS_BETTER]

    def before_train(self, runner: Runner) -> None:
        """Restores the state of a resumed training."""
        if runner.iter > 0:
            state = runner.message_hub.runtime_info.get(self._key, {})
            self.wait_count = state.get('wait_count', self.wait_count)
            self.best_score = state.get('best_score', self.best_score)
            runner.train_loop.stop_training = state.get('stopped', False)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Decides whether to stop the training."""
        if is_nan(metrics.get(self.monitor)):
            runner.logger.warning(f'EarlyStoppingHook: {self.monitor} could not be measured and is ignored')
            return
        super().after_val_epoch(runner, metrics)
        stopped = runner.train_loop.stop_training
        runner.message_hub.update_info(
            self._key, dict(wait_count=self.wait_count, best_score=self.best_score, stopped=stopped))
        if stopped:
            for hook in runner.hooks:
                if isinstance(hook, CheckpointHook) and not hook.by_epoch:
                    hook.save(runner, runner.iter)

    @property
    def _key(self) -> str:
        return f'early_stopping_{self.monitor}'

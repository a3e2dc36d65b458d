from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class KnowledgeBankHook(Hook):
    """Loads the weights of an editor's knowledge bank before the first image is, so that an error does not come later.

    In testing, only if the SE modules need the bank. Models without a knowledge bank are left alone.

    Raises:
        RuntimeError: If the weights cannot be read or do not match.
    """

    def before_train(self, runner: Runner) -> None:
        """Loads them for a training."""
        self._load(runner, training=True)

    def before_val(self, runner: Runner) -> None:
        """Loads them for a validation."""
        self._load(runner, training=False)

    def before_test(self, runner: Runner) -> None:
        """Loads them for a test."""
        self._load(runner, training=False)

    @staticmethod
    def _load(runner: Runner, training: bool) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'load_bank'):
            model.load_bank(training)

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class ResetDiscriminatorHook(Hook):
    """Reinitializes the discriminator and its optimizer, as the released DRBN-SKF does at the start of every epoch.

    Args:
        interval (int): Iterations of an epoch.
    """

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Reinitializes them at the first iteration of every epoch except the first."""
        if runner.iter == 0 or runner.iter % self.interval:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for module in model.discriminator.modules():
            if hasattr(module, 'reset_parameters'):
                module.reset_parameters()
        for weight in model.discriminator.state_dict().values():
            broadcast(weight)
        runner.optim_wrapper['discriminator'].optimizer.state.clear()

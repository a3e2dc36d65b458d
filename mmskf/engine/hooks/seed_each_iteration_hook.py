import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class SeedEachIterationHook(Hook):
    """Makes the random numbers of a training iteration (the crops of the SA loss) depend on seed, process and iteration only.

    A checkpoint does not contain the random state; this way a resumed training continues as it would have.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Reseeds torch; data-loader workers have their own random numbers."""
        torch.manual_seed(hash((runner.seed, get_rank(), runner.iter)) % 2**32)

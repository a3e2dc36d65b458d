import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class SeedEachIterationHook(Hook):
    """Makes what a training iteration draws (the SA loss: its crops) depend on seed, process and iteration alone.

    A checkpoint does not hold the state of the random numbers; so a training that is resumed goes on as it would have.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Seeds torch anew; the workers of data loaders have their own random numbers."""
        torch.manual_seed(hash((runner.seed, get_rank(), runner.iter)) % 2**32)

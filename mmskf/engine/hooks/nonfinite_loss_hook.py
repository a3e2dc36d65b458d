import math
import os
from collections.abc import Mapping
from itertools import chain

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmskf.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops a training whose loss is NaN or infinite, and keeps its last good checkpoint.

    After every iteration it checks the losses (all numbers that the model logs with 'loss' in their name) and the weights, since
    an update can break them while its loss is still finite. It runs before mmengine's CheckpointHook, which deletes an old
    checkpoint before it writes a new one, and rejects any checkpoint whose weights are not finite. In distributed training, all
    processes stop with the same message.

    Raises:
        FloatingPointError: Names the iteration, the losses or the weights, and the last checkpoint.
    """
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Stops on a loss or weight that is not finite."""
        losses = {name: torch.as_tensor(value).item() for name, value in (outputs or {}).items() if 'loss' in name}
        found = [f'{name} is {value}' for name, value in losses.items() if not math.isfinite(value)]
        weights = trained_weights(runner.model)
        if not found and not all_finite(weights):
            found = [f'the update left {_name_nonfinite(weights)}']
        stop = torch.tensor(bool(found), dtype=torch.int32)
        all_reduce(stop, 'max')
        if stop:
            everywhere = dict.fromkeys(chain.from_iterable(all_gather_object(found)))
            raise FloatingPointError(f'Iteration {runner.iter + 1}: {", ".join(everywhere)}. {self._way_out(runner)}')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rejects a checkpoint with weights that are not finite, whoever wants to save it."""
        weights = {name: value for name, value in checkpoint['state_dict'].items() if value.is_floating_point()}
        if not all_finite(weights):
            raise FloatingPointError(
                f'The checkpoint to be saved has {_name_nonfinite(weights)}. {self._way_out(runner)}')

    @staticmethod
    def _way_out(runner: Runner) -> str:
        pointer = os.path.join(runner.work_dir, 'last_checkpoint')
        advice = 'A lower learning rate, clip_grad in optim_wrapper, or training without --amp often helps.'
        if not os.path.exists(pointer):
            return f'Training stops; no checkpoint had been saved yet. {advice}'
        with open(pointer) as file:
            return f'Training stops; the last good checkpoint is {file.read().strip()}. {advice}'


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name -> parameter of all trainable weights; a distributed wrapper around the model does not change the names."""
    model = model.get_submodule('module') if is_model_wrapper(model) else model
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def all_finite(weights: Mapping[str, Tensor]) -> bool:
    """Whether a dict of tensors has only finite numbers.

    A sum is finite only if its terms are: one pass without a copy, and one device synchronization instead of one per tensor.
    """
    return bool(torch.stack([weight.sum(dtype=torch.float32) for weight in weights.values()]).isfinite().all())


def _name_nonfinite(weights: Mapping[str, Tensor]) -> str:
    names = [name for name, weight in weights.items() if not weight.isfinite().all()]
    more = f' and {len(names) - 1} more' if names[1:] else ''
    return f'NaN or infinite numbers in {names[0]}{more}'

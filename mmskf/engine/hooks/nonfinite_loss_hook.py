import math
import os

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmskf.registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops a training whose loss is NaN or infinite, and keeps its last good checkpoint.

    After every iteration it looks at the losses (all numbers that the model logs with 'loss' in their name) and at the
    weights, since an update can break them while its loss was still finite. It runs before mmengine's CheckpointHook,
    which deletes an old checkpoint before it writes a new one, and refuses any checkpoint whose weights are not finite.
    In a distributed training, all processes stop with the same message.

    Raises:
        FloatingPointError: Names the iteration, the losses or the weights, and the last checkpoint.
    """
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Stops on a loss or weight that is not finite."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        losses = [f'{name} = {float(value)}' for name, value in (outputs or {}).items()
                  if 'loss' in name and not math.isfinite(value)]
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        weights_are_finite = all_finite([*trained.values(), *model.buffers()])
        stop = torch.tensor(bool(losses) or not weights_are_finite, dtype=torch.int32, device=next(model.parameters()).device)
        all_reduce(stop, 'max')
        if not stop:
            return
        losses = sorted(set(sum(all_gather_object(losses), [])))
        if losses:
            found = f'The loss is not finite at iteration {runner.iter + 1}: {", ".join(losses)}. '
        else:
            found = f'The losses were finite, but iteration {runner.iter + 1} left {_first_nonfinite(model.state_dict())}. '
        raise FloatingPointError(found + self._way_out(runner))

    def before_save_checkpoint(self, runner, checkpoint):
        """Refuses a checkpoint with weights that are not finite, whoever asks for it."""
        if not all_finite(checkpoint['state_dict'].values()):
            raise FloatingPointError(f'A checkpoint was to be saved with {_first_nonfinite(checkpoint["state_dict"])}. '
                                     + self._way_out(runner))

    @staticmethod
    def _way_out(runner):
        pointer = os.path.join(runner.work_dir, 'last_checkpoint')
        advice = 'A lower learning rate, clip_grad in optim_wrapper, or training without --amp often helps.'
        if not os.path.exists(pointer):
            return f'The training stops; no checkpoint had been saved yet. {advice}'
        with open(pointer) as file:
            return f'The training stops; the last good checkpoint is {file.read().strip()}. {advice}'


def all_finite(tensors):
    """Whether all floating point tensors hold only finite numbers; asks the device once."""
    finite = [tensor.isfinite().all() for tensor in tensors if tensor.is_floating_point()]
    return not finite or bool(torch.stack(finite).all())


def _first_nonfinite(state_dict):
    names = [name for name, tensor in state_dict.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    more = f' and in {len(names) - 1} more' if names[1:] else ''
    return f'NaN or infinite numbers in {names[0]}{more}'

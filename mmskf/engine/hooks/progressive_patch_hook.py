from collections.abc import Sequence

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmskf.registry import HOOKS


@HOOKS.register_module()
class ProgressivePatchHook(Hook):
    """Trains on few large patches after many small ones (progressive learning, as in Restormer and MIRNet-v2).

    The data loader cuts patches of the largest size, as many as there are in the largest batch. Of each batch this hook keeps
    some at random, and of these one window, at the same random position in all of them. What it chooses depends on seed, process
    and iteration only, so a resumed training sees the same patches.

    Args:
        phases (Sequence[dict]): In this order, each with ``iters``, its number of iterations; ``batch_size``, of one process;
            and ``patch_size``, in pixels. The last one lasts until the end of the training. Where the data loader has fewer or
            smaller patches, they are left as they are.

    Raises:
        ValueError: If there is no phase, or one lacks a field, has another one, or is not positive.
    """

    def __init__(self, phases: Sequence[dict]):
        fields = ('iters', 'batch_size', 'patch_size')
        for phase in phases:
            if set(phase) != set(fields) or any(not isinstance(phase[name], int) or phase[name] < 1 for name in fields):
                raise ValueError(f'ProgressivePatchHook.phases has the phase {dict(phase)}: each takes {", ".join(fields)}, all '
                                 'of them integers of 1 or more')
        if not phases:
            raise ValueError(f'ProgressivePatchHook.phases is empty: give at least one, with {", ".join(fields)}')
        self.phases = phases

    def phase(self, iteration: int) -> dict:
        """The phase of an iteration, counted from 0."""
        for phase in self.phases:
            if iteration < phase['iters']:
                break
            iteration -= phase['iters']
        return phase

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Reduces the batch, in place."""
        assert data_batch is not None
        phase = self.phase(runner.iter)
        # A seed of its own: with that of SeedEachIterationHook the patches would depend on what is drawn for MixUp.
        generator = torch.Generator().manual_seed(hash((runner.iter, get_rank(), runner.seed)) % 2**32)
        inputs, samples = data_batch['inputs'], data_batch['data_samples']
        chosen = torch.randperm(len(inputs), generator=generator)[:phase['batch_size']].tolist()
        window = [slice(None)]
        for side in inputs[0].shape[-2:]:
            room = max(side - phase['patch_size'], 0)
            start = int(torch.randint(room + 1, (), generator=generator))
            window.append(slice(start, start + phase['patch_size']))
        data_batch['inputs'] = [inputs[i][tuple(window)] for i in chosen]
        data_batch['data_samples'] = [samples[i] for i in chosen]
        for sample in data_batch['data_samples']:
            if 'gt_img' in sample:
                sample.gt_img = sample.gt_img[tuple(window)]

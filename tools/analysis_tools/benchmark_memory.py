"""Measures what saves memory in training: ``benchmark_memory.py llflow_l_skf_lol --batch-size 1 --crop 96 --options
model.generator.reversible=True model.generator.with_cp=True``.

Compares a training step of a config as it is with one with options: peak memory, seconds (interleaved, in one process), and
the largest batch and crop for cards of several sizes.

Memory on a CPU is counted, tensor by tensor: weights, features, gradients and the optimizer's state. It is the same on every
machine, and that of a GPU but for what libraries use internally. What fits is estimated cautiously: all but weights and optimizer
state is taken to grow with the pixels, though gradients do not. The larger crop and batch, the closer. With ``--threads 1`` on a
CPU the seconds are those of the processor, which other processes affect less.
"""
import argparse
import gc
import math
import statistics
import sys
import time
import weakref
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import torch
from benchmark import prepare, training_run
from benchmark_sch import synchronize
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mmskf.apis import init_model, load_config
from mmskf.apis.cli import add_device_argument
from mmskf.utils.errors import run_tool
from mmskf.utils.memory import read_peak, reset_peak
from mmskf.utils.options import OptionsAction, add_cfg_options, positive

RESERVED = 1  # GB, for CUDA's context and workspaces of libraries
WARM_UP = 1  # untimed turns
CROP_UNIT = 16  # multiples of it suit every model


class TensorBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are created while it is active: ``now``, and the ``peak`` so far."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._storages = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **kwargs or {})
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return outputs

    def _add(self, storage):
        key, size = storage._cdata, storage.nbytes()
        if key not in self._storages:
            self._storages[key] = weakref.ref(storage, lambda _: self._remove(key, size))
            self.now += size
            self.peak = max(self.peak, self.now)

    def _remove(self, key, size):
        del self._storages[key]
        self.now -= size


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare memory and time of a training step with and without options.')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--options', nargs='+', action=OptionsAction, metavar='FIELD=VALUE',
                        help='what is compared with the config as it is (default: '
                        'model.generator.with_cp=True)')
    parser.add_argument('--batch-size', type=positive, default=1, help='(default: %(default)s)')
    parser.add_argument('--crop', type=positive, default=128, help='side of the training crops (default: %(default)s)')
    parser.add_argument('--bf16', action='store_true', help='with autocast to bfloat16')
    parser.add_argument('--cards', nargs='+', type=float, default=[8, 12, 24, 80], metavar='GB',
                        help='memory of GPUs, for what fits; 1 GB of each is left free (default: 8 12 24 80)')
    add_device_argument(parser)
    parser.add_argument('--threads', type=positive, default=torch.get_num_threads(), help='CPU threads (default: %(default)s)')
    parser.add_argument('--repeats', type=positive, default=3, help='timed steps, whose median is shown (default: 3)')
    add_cfg_options(parser)
    args = parser.parse_args(args)
    args.options = args.options or {'model.generator.with_cp': True}
    args.size = None  # only for methods that are trained on whole images
    return args


def build_step(args, options):
    """A function that takes one training step."""
    torch.manual_seed(0)
    cfg = load_config(args.config, {**args.cfg_options, **options})
    if cfg.model.get('skb'):
        cfg.model.skb.checkpoint = None
    return training_run(init_model(cfg, device=args.device), cfg, args, args.bf16)


def memory_of_step(args, options):
    """Bytes between two training steps, which are weights and optimizer state, and at the peak of a step."""
    gc.collect()
    device = torch.device(args.device)
    if device.type == 'cuda':
        before = reset_peak(device)
        step = build_step(args, options)
        step()  # creates the optimizer's state
        between = torch.cuda.memory_allocated(device) - before
        step()
        return between, read_peak(device) - before
    with TensorBytes() as memory:
        step = build_step(args, options)
        step()
        between = memory.peak = memory.now
        step()
    return between, memory.peak


def seconds_per_step(args, variants):
    """Median seconds of a step with each of several options, taken in turn."""
    steps = [build_step(args, options) for options in variants]
    seconds = [[] for _ in steps]
    clock = time.process_time if args.device == 'cpu' and args.threads == 1 else time.perf_counter
    for _ in range(WARM_UP + args.repeats):
        for step, times in zip(steps, seconds):
            synchronize(torch.device(args.device))
            start = clock()
            step()
            synchronize(torch.device(args.device))
            times.append(clock() - start)
    return [statistics.median(times[WARM_UP:]) for times in seconds]


def what_fits(args, between, peak, card):
    """The largest batch of the crop, and the largest crop of the batch, for a card of so many GB."""
    per_image = (peak - between) / args.batch_size
    free = max((card - RESERVED) * 2**30 - between, 0)
    side = math.sqrt(free / per_image / args.batch_size) * args.crop
    return math.floor(free / per_image), int(side // CROP_UNIT * CROP_UNIT)


def main(args=None):
    args = parse_args(args)
    prepare(args.threads)
    variants = {'as it is': {}, ' '.join(f'{key}={value}' for key, value in args.options.items()): args.options}
    memory = {name: memory_of_step(args, options) for name, options in variants.items()}
    seconds = dict(zip(variants, seconds_per_step(args, variants.values())))
    (_, whole), first = next(iter(memory.values())), next(iter(seconds.values()))
    print(f'{args.config}, training step of {args.batch_size} x {args.crop}x{args.crop}, {args.device}, {args.threads} thread(s)')
    for name in variants:
        print(f'\n{name}')
        print(f'  peak memory {memory[name][1] / 2**20:.0f} MB ({memory[name][1] / whole:.2f}), '
              f'{seconds[name]:.2f} s ({seconds[name] / first:.2f})')
        for card in args.cards:
            batch, side = what_fits(args, *memory[name], card)
            print(f'  {card:g} GB: batch {batch} of {args.crop}x{args.crop}, or {args.batch_size} of {side}x{side}')


if __name__ == '__main__':
    run_tool(main)

"""Measures a model: ``benchmark.py configs/skf/hwmnet_skf_lol.py --size 400x600 --batch-size 2 --crop 128 --bf16``.

Time and peak memory of enhancing one image and of one training step, and the time spent in the knowledge bank. The images are
synthetic, and the weights random unless a checkpoint is given; the knowledge bank's are never read. Data loading is excluded.
Each row runs in a fresh process, so that none profits from memory warmed up by another. ``--runs cached`` is the training step
with cached priors (PriorCacheHook); ``--cfg-options compile=True`` measures compiled networks, without the bank's share.
``--all`` measures every method that has SKF, in its configuration for LOL. The table is Markdown.

GFLOP/s counts the convolutions and matrix products of forward and backward pass, the knowledge bank's included. What they could
be is shown by a plain 3x3 convolution of 64 channels on the same cores: the share of its GFLOP/s tells how much of the time is
arithmetic.

Peak memory is everything that the model needs beyond the libraries: weights, features, and in training gradients and optimizer
state; on a CPU (Linux) resident memory, on a GPU the memory of its tensors.
"""
import argparse
import os
import statistics
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from benchmark_sch import synchronize
from get_flops import flop_counter
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from torch.profiler import ProfilerActivity, profile

from mmskf.apis import init_model, load_config, train_dataloader
from mmskf.apis.cli import add_device_argument
from mmskf.apis.config import datasets, model_index, optim_wrappers
from mmskf.datasets.prior_cache import PriorPipeline
from mmskf.engine.compiling import compile_networks
from mmskf.engine.hooks.prior_cache_hook import cache_of, prior_of
from mmskf.models.editors.skf_checks import check_cacheable
from mmskf.utils.allocator import keep_freed_memory
from mmskf.utils.errors import FAILED, is_for_user, run_tool
from mmskf.utils.logs import logs_to_stderr
from mmskf.utils.memory import read_peak, reset_peak
from mmskf.utils.options import add_cfg_options, image_size, positive
from mmskf.utils.tables import markdown_row, markdown_table

COMPILING = 2  # untimed runs of compiled networks, since a graph may be compiled again when it is first used twice
COLUMNS = ('model', 'run', 'seconds', 'in the SKB', 'peak memory', 'GFLOP/s', 'of a 3x3 convolution')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Measure seconds and peak memory per image and per training step.')
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument('config', nargs='?', help='path or name of a config')
    models.add_argument('--all', action='store_true', help='measure all methods with SKF')
    parser.add_argument('--checkpoint', help='path or URL of the weights (default: random weights)')
    parser.add_argument('--runs', nargs='+', choices=['image', 'training', 'cached'], default=['image', 'training'],
                        help='what to measure; cached: the training step with cached priors (default: image training)')
    parser.add_argument('--size', type=image_size, default=(400, 600), metavar='HEIGHTxWIDTH',
                        help='image size (default: 400x600)')
    parser.add_argument('--batch-size', type=positive, help="batch size of the training step (default: the config's)")
    parser.add_argument('--crop', type=positive, help="side of the training crops (default: the config's)")
    parser.add_argument('--bf16', action='store_true',
                        help='also measure with autocast to bfloat16, and the difference of its image from that in float32')
    add_device_argument(parser)
    parser.add_argument('--threads', type=positive, default=torch.get_num_threads(),
                        help='CPU threads (default: %(default)s)')
    parser.add_argument('--profile', action='store_true', help='add a column of the operators that take most of the time')
    parser.add_argument('--repeats', type=positive, default=5, help='timed runs, whose median is shown (default: 5)')
    add_cfg_options(parser)
    return parser.parse_args(args)


def methods_with_skf():
    """The names of the index's configurations of SKF for LOL, one for each method and size."""
    names = [model['Name'] for model in model_index()]
    return [name for name in names if name.endswith('_skf_lol')]


def speed_of_convolution(device):
    """GFLOP/s of a 3x3 convolution of 64 channels at 200x304 pixels, channels last."""
    image = torch.rand(1, 64, 200, 304, device=device).contiguous(memory_format=torch.channels_last)
    kernel, seconds = torch.rand(64, 64, 3, 3, device=device), []
    for _ in range(20):
        synchronize(device)
        start = time.perf_counter()
        F.conv2d(image, kernel, padding=1)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * kernel.numel() * image[0, 0].numel() / statistics.median(seconds[1:]) / 1e9


def make_pair(size, index=0):
    """A smooth image of (height, width) and the same image at a fifth of the light, as a pipeline takes them."""
    coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    bright = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return dict(img=bright // 5, gt=bright, key=f'{index}')


def image_run(model, cfg, args, bf16):
    """A function that enhances one image and returns it, (1, 3, H, W)."""
    pipeline = next(datasets(dict(test_dataloader=cfg.test_dataloader))).pipeline
    data = model.data_preprocessor(pseudo_collate([Compose(pipeline)(make_pair(args.size))]), training=False)

    def run():
        with torch.inference_mode(), torch.autocast(args.device.split(':')[0], torch.bfloat16, enabled=bf16):
            return model(**data, mode='tensor')

    return run


def with_cached_priors(model, pipeline, pairs):
    """The samples that a pipeline makes, with the priors that a cache has of them."""
    model.use_prior_cache()
    with TemporaryDirectory() as folder:
        pipeline = PriorPipeline(pipeline, cache_of(model, Path(folder)))
        for pair in pairs:
            key, _, sample = pipeline.whole(pair)
            pipeline.cache.write(key, prior_of(model, sample))
        return [pipeline(pair) for pair in pairs]


def training_run(model, cfg, args, bf16, cached=False):
    """A function that takes one training step, with the config's optimizers."""
    loader = train_dataloader(cfg)
    pipeline = next(datasets(dict(train_dataloader=loader))).pipeline
    crops = [step for step in pipeline if 'crop_size' in step]
    for step in crops:
        step.crop_size = args.crop or step.crop_size
    size = (crops[0].crop_size, ) * 2 if crops else args.size
    batch_size = args.batch_size or loader.batch_size
    pairs, pipeline = [make_pair(size, index) for index in range(batch_size)], Compose(pipeline)
    data = pseudo_collate(with_cached_priors(model, pipeline, pairs) if cached else [pipeline(pair) for pair in pairs])
    for wrapper in optim_wrappers(cfg) if bf16 else []:
        wrapper.type = 'mmskf.Bf16OptimWrapper'
    optimizers = build_optim_wrapper(model.train(), cfg.optim_wrapper)
    return lambda: model.train_step(data, optimizers)


RUNS = dict(image=image_run, training=training_run, cached=partial(training_run, cached=True))
TITLES = dict(image='image', training='training', cached='training, cached priors')


def watch(module, device):
    """A list that collects the seconds of every call of a module; empty without a module."""
    started, seconds = [], []

    def enter(*_):
        synchronize(device)
        started.append(time.perf_counter())

    def leave(*_):
        synchronize(device)
        seconds.append(time.perf_counter() - started.pop())

    if module is not None:
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    return seconds


def largest_operators(run, device):
    """PyTorch's operators that take 2 % or more of the time of a run, with their shares, such as 'cat 5 %', the largest first."""
    activity, key = ((ProfilerActivity.CPU, 'self_cpu_time_total') if device.type == 'cpu' else
                     (ProfilerActivity.CUDA, 'self_device_time_total'))
    with profile(activities=[activity]) as profiler:
        run()
    times = sorted(((getattr(event, key), event.key.removeprefix('aten::')) for event in profiler.key_averages()), reverse=True)
    total = sum(time for time, _ in times)
    return ', '.join(f'{name} {time / total:.0%}' for time, name in times if time >= 0.02 * total)


@logs_to_stderr('benchmark.py')
def measure(args, config, name, bf16):
    """Measures one run of a config; must be called in a fresh process.

    Returns:
        dict: ``seconds`` and ``skb`` (the knowledge bank's share of them; None without one and for compiled networks), medians;
        ``compiled``: whether the networks are; ``memory`` (bytes); ``flops`` of one run; ``convolution``: GFLOP/s of a 3x3
        convolution, measured right after it; ``operators``: see :func:`largest_operators`; ``output``: the enhanced image
        (1, 3, H, W) in float32, or the logs of the last training step.
    """
    torch.manual_seed(0)
    device = torch.device(args.device)
    cfg = load_config(config, args.cfg_options)
    if cfg.model.get('skb'):
        cfg.model.skb.checkpoint = None
    before = reset_peak(device)
    model = init_model(cfg, args.checkpoint, args.device)
    run = RUNS[name](model, cfg, args, bf16)
    with flop_counter() as counter:  # the first run, which also fills caches and creates the optimizer state
        run()
    if cfg.get('compile'):
        compile_networks(model, cfg.compile)
        for _ in range(COMPILING):
            run()
    bank = None if cfg.get('compile') else getattr(model, 'skb', None)  # a hook would break the graph of a compiled one
    in_bank = watch(bank, device)
    reset_peak(device)  # counting and compiling take memory of their own
    seconds, shares = [], []
    for _ in range(args.repeats):
        in_bank.clear()
        synchronize(device)
        start = time.perf_counter()
        output = run()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        shares.append(sum(in_bank))
    memory = read_peak(device) - before
    return dict(
        seconds=statistics.median(seconds),
        skb=None if bank is None else statistics.median(shares),
        compiled=bool(cfg.get('compile')),
        memory=memory,
        flops=counter.get_total_flops(),
        convolution=speed_of_convolution(device),
        operators=largest_operators(run, device) if args.profile else None,
        output=output.float().cpu().numpy() if name == 'image' else {key: value.item() for key, value in output.items()})


def try_to_measure(*args):
    """:func:`measure`, or the error that it raised for the user: a traceback would be all that the pool tells of it."""
    try:
        return measure(*args)
    except Exception as error:
        if not is_for_user(error):
            raise
        return error


def prepare(threads):
    """Settings of the measuring process."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    warnings.filterwarnings('ignore', message='The semantic knowledge bank has no checkpoint')
    MMLogger.get_current_instance().setLevel('WARNING')  # the constructor of the optimizers logs


def start_process(threads):
    """Unlike others of a pool, this process ends with its parent, even if that is killed."""
    parent = parent_process()
    threading.Thread(target=lambda: parent.join() or os._exit(FAILED), daemon=True).start()
    prepare(threads)


def in_fresh_process(args, config, name, bf16):
    with ProcessPoolExecutor(1, get_context('spawn'), initializer=start_process, initargs=(args.threads, )) as pool:
        result = pool.submit(try_to_measure, args, config, name, bf16).result()
    if isinstance(result, Exception):
        raise result
    return result


def psnr(image, reference):
    """PSNR of two images clipped to [0, 1], in dB."""
    difference = np.clip(image, 0, 1) - np.clip(reference, 0, 1)
    with np.errstate(divide='ignore'):
        return -10 * np.log10(np.square(difference).mean())


@logs_to_stderr('benchmark.py')
def main(args=None):
    args = parse_args(args)
    configs = methods_with_skf() if args.all else [args.config]
    for config in configs:  # what is wrong with them is said by this process
        model = init_model(load_config(config, args.cfg_options), args.checkpoint)
        if 'cached' in args.runs:
            check_cacheable(model)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else f'CPU, {args.threads} thread(s)'
    size = 'x'.join(map(str, args.size))
    print(f'{args.checkpoint or "random weights"}, images of {size}, {where}, PyTorch {torch.__version__}, median of '
          f'{args.repeats}\n')
    print(markdown_table([*COLUMNS, 'operators'] if args.profile else COLUMNS, []), end='')
    for config in configs:
        for name in args.runs:
            full = None
            for bf16 in (False, True) if args.bf16 else (False, ):
                result = in_fresh_process(args, config, name, bf16)
                speed = result['flops'] / result['seconds'] / 1e9
                run = f'{TITLES[name]}, {"bfloat16" if bf16 else "float32"}'
                share = '' if result['skb'] is None else f'{result["skb"] / result["seconds"]:.0%}'
                if result['compiled']:
                    run += ', compiled'
                if name == 'image' and bf16:
                    run += f' ({psnr(result["output"], full["output"]):.1f} dB to float32)'
                cells = [Path(config).stem, run, f'{result["seconds"]:.3f}', share, f'{result["memory"] / 2**20:.0f} MB',
                         f'{speed:.0f}', f'{speed / result["convolution"]:.0%}']
                if args.profile:
                    cells.append(result['operators'])
                print(markdown_row(cells), end='', flush=True)
                full = full or result


if __name__ == '__main__':
    run_tool(main)

"""Everything that a GPU decides, in one report: ``gpu_report.py --out gpu.md`` takes about ten minutes.

Each part runs in a process of its own, with a time limit; one that fails or does not end is reported as such, with the last line
of its output, and the others follow. The parts: the tests; two training steps of all methods in mixed precision; the SCH loss
against a plain loop; a training step of LLFlow-L-SKF, also with the options that save memory; images of 400x600 and 4K;
``torch.compile``. Weights and images are synthetic. ``--device cpu --small`` tries the report itself.
"""
import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT), str(HERE)]  # this checkout's mmskf, whichever is installed

import mmengine
import torch
from benchmark import methods_with_skf

from mmskf.apis.cli import add_device_argument
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open

BENCHMARK, BENCHMARK_SCH = HERE / 'benchmark.py', HERE / 'benchmark_sch.py'
#: Ways to train LLFlow -> fields of its config.
MEMORY_OPTIONS = {'as it is': [], 'reversible': ['model.generator.reversible=True']}
COMPILE_OPTIONS = {'as it is': [], 'compiled': ['compile=True']}
#: A tiny knowledge bank, to try the report without a GPU.
SMALL_BANK = 'mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py'


class Part(NamedTuple):
    """A part of the report.

    Args:
        title (str): Its heading.
        command (list[str]): Arguments of Python; its output is quoted.
        limit (float): Seconds after which it is stopped.
    """
    title: str
    command: list[str]
    limit: float


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Write a report of what mmskf does on a GPU.')
    parser.add_argument('--out', default='gpu_report.md', help='the report, Markdown (default: gpu_report.md)')
    add_device_argument(parser, default='cuda')
    parser.add_argument('--parts', nargs='+', choices=list(PARTS), default=list(PARTS), help='parts to run (default: all)')
    parser.add_argument('--small', action='store_true', help='tiny images and one method, to try the report itself')
    return parser.parse_args(args)


def benchmark(args, *options):
    return [str(BENCHMARK), *options, '--device', args.device, '--repeats', '1' if args.small else '3']


def tests(args):
    """The tests, which run on the GPU where there is one."""
    chosen = ['tests/test_models/test_losses/test_regions.py'] if args.small else ['tests/test_models', 'tests/test_engine']
    yield Part('Tests', ['-m', 'pytest', '-q', '-x', *chosen], 240)


def amp(args):
    """Two steps, one of them timed, of each method in bfloat16 and float32."""
    crop = ['--crop', '64', '--batch-size', '1'] if args.small else ['--crop', '128', '--batch-size', '2']
    which = ['zerodce_skf_lol'] if args.small else methods_with_skf()
    for name in which:
        command = [*benchmark(args, name, '--runs', 'training', *crop, '--bf16'), *bank_options(args)]
        yield Part(f'Training step of {name}', command, 120)


def sch(args):
    """The SCH loss against the plain loop."""
    sizes = ['--cases', '1x3x32x32'] if args.small else []
    yield Part('SCH loss against a plain loop', [str(BENCHMARK_SCH), '--device', args.device, '--repeats', '1', *sizes], 120)


def memory(args):
    """LLFlow's largest network at the released crop and batch per GPU."""
    name, crop, batch = ('llflow_s_skf_lol', '64', '1') if args.small else ('llflow_l_skf_lol', '160', '4')
    command = benchmark(args, name, '--runs', 'training', '--crop', crop, '--batch-size', batch)
    for title, options in MEMORY_OPTIONS.items():
        yield Part(f'{name}, {batch}x{crop}x{crop}, {title}', [*command, *bank_options(args, *options)], 90)


def images(args):
    """Whole images of each method at LOL's size, and of fast and of large networks at 4K."""
    sizes = {'64x96': ['zerodce_skf_lol']} if args.small else {
        '400x600': methods_with_skf(), '2160x3840': ['drbn_skf_lol', 'nafnet_skf_lol', 'llflow_s_skf_lol']}
    for size, names in sizes.items():
        for name in names:
            command = [*benchmark(args, name, '--runs', 'image', '--size', size, '--bf16'), *bank_options(args)]
            yield Part(f'{name}, image of {size}', command, 60)


def compiled(args):
    """DRBN-SKF compiled, against itself."""
    name, size = ('zerodce_skf_lol', '64x96') if args.small else ('drbn_skf_lol', '400x600')
    for title, options in COMPILE_OPTIONS.items():
        command = [*benchmark(args, name, '--runs', 'image', '--size', size), *bank_options(args, *options)]
        yield Part(f'{name}, image of {size}, {title}', command, 300)


PARTS = dict(tests=tests, amp=amp, sch=sch, memory=memory, images=images, compiled=compiled)


def bank_options(args, *fields):
    """``--cfg-options`` of a part: its own fields, and a small knowledge bank with ``--small``."""
    fields = [*fields, f'model.skb.config={SMALL_BANK}'] if args.small else list(fields)
    return ['--cfg-options', *fields] if fields else []


def run(part):
    """What a part prints, or why it did not end well."""
    start = time.perf_counter()
    try:
        done = subprocess.run([sys.executable, *part.command], cwd=ROOT, capture_output=True, text=True, timeout=part.limit)
    except subprocess.TimeoutExpired:
        return f'Stopped after {part.limit:.0f} seconds.'
    seconds = time.perf_counter() - start
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return f'**Failed** after {seconds:.0f} seconds: {" ".join(reason)}'
    output = done.stdout.strip()
    return output if '|' in output else f'```text\n{output}\n```'


def where(device):
    """The machine and the software."""
    names = {'PyTorch': torch.__version__, 'MMEngine': mmengine.__version__, 'Python': sys.version.split()[0]}
    if device.startswith('cuda'):
        card = torch.cuda.get_device_properties(device)
        names = {'GPU': f'{card.name}, {card.total_memory / 2**30:.0f} GiB', 'CUDA': torch.version.cuda, **names}
    return ', '.join(f'{name} {value}' for name, value in names.items())


def main(args=None):
    args = parse_args(args)
    sections = [f'# mmskf on {args.device}', where(args.device)]
    for name in args.parts:
        for part in PARTS[name](args):
            print(part.title, flush=True)
            sections.append(f'## {part.title}\n\n{run(part)}')
            with atomic_open(args.out, 'w') as file:  # after each part: what is measured is kept, whatever comes
                file.write('\n\n'.join(sections) + '\n')
    print(f'{args.out} is written')


if __name__ == '__main__':
    run_tool(main)

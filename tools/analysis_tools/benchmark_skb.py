"""Compares the cost of knowledge banks: ``benchmark_skb.py configs/skb/*.py mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024.py``.

One image of random pixels, random weights. On a CPU, it measures the CPU time of all threads together, which ignores other load
on the machine. The banks take turns, and are shown as multiples of the first bank in the same turn.
"""
import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import torch
from benchmark_sch import synchronize
from prettytable import PrettyTable

import mmskf.models  # noqa: F401
from mmskf.apis.cli import add_device_argument
from mmskf.apis.config import bank_config
from mmskf.registry import MODELS
from mmskf.utils.errors import run_tool
from mmskf.utils.options import image_size, positive

WARM_UP = 1  # untimed turns


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare the time that knowledge banks take for an image.')
    parser.add_argument('banks', nargs='+', help="configs with an skb, or 'mmseg::...' for an mmsegmentation segmentor")
    parser.add_argument('--size', type=image_size, default=(400, 600), metavar='HEIGHTxWIDTH',
                        help='image size (default: 400x600)')
    add_device_argument(parser)
    parser.add_argument('--threads', type=positive, default=torch.get_num_threads(),
                        help='CPU threads (default: %(default)s)')
    parser.add_argument('--repeats', type=positive, default=5, help='timed turns, whose median is shown (default: 5)')
    return parser.parse_args(args)


def build(name, **changes):
    """Builds and loads a bank.

    Args:
        name (str): A config with an skb, or 'mmseg::...'.
        **changes: Fields of the bank to change: ``checkpoint=None`` gives it random weights.

    Raises:
        ValueError: If the config has no skb.
    """
    cfg = dict(type='SemanticKnowledgeBank', config=name) if name.startswith('mmseg::') else bank_config(name)
    bank = MODELS.build(dict(cfg, **changes))
    bank.load()
    return bank


@torch.inference_mode()
def measure(banks, args):
    """Seconds of each bank in each timed turn: one list per bank."""
    image = torch.rand(1, 3, *args.size, device=args.device)
    clock = time.process_time if image.device.type == 'cpu' else time.perf_counter
    seconds = [[] for _ in banks]
    for _ in range(WARM_UP + args.repeats):
        for bank, times in zip(banks, seconds):
            synchronize(image.device)
            start = clock()
            bank(image)
            synchronize(image.device)
            times.append(clock() - start)
    return [times[WARM_UP:] for times in seconds]


def main(args=None):
    args = parse_args(args)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    warnings.filterwarnings('ignore', message='The semantic knowledge bank has no checkpoint')
    banks = [build(name, checkpoint=None).to(args.device) for name in args.banks]
    seconds = measure(banks, args)
    table = PrettyTable(['bank', 'parameters', 'channels of the features', 'strides', 'classes', 'seconds', 'to the first'],
                        align='r')
    for name, bank, times in zip(args.banks, banks, seconds):
        ratio = statistics.median(own / first for own, first in zip(times, seconds[0]))
        table.add_row([Path(name).stem, f'{sum(weight.numel() for weight in bank.network.parameters()) / 1e6:.1f} M',
                       ', '.join(str(bank.channels[i]) for i in range(len(bank.strides))), ', '.join(map(str, bank.strides)),
                       bank.num_classes or 'none', f'{statistics.median(times):.3f}', f'{ratio:.2f}'])
    print(table)


if __name__ == '__main__':
    run_tool(main)

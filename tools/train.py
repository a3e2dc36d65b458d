"""Trains a model: ``python tools/train.py configs/skf/drbn_skf_lol.py``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

from torch.distributed.elastic.multiprocessing.errors import record

from mmskf.apis.cli import add_runner_arguments, runner_config
from mmskf.apis.config import check_trainable
from mmskf.engine import Runner


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='PATH|auto',
                        help='go on from a checkpoint, or from the newest whole one in the work dir; a new training starts '
                        'where there is none yet')
    parser.add_argument('--partial', action='store_true',
                        help='start from those weights of load_from that fit, where not all do')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate by the total batch size over the config's auto_scale_lr.base_batch_size")
    add_runner_arguments(parser)
    return parser.parse_args(args)


@record  # what ends one of several processes is the last thing that torchrun shows
def main(args=None):
    args = parse_args(args)
    cfg = runner_config(args)
    check_trainable(cfg)
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise KeyError(f'--auto-scale-lr: {args.config} does not say for which total batch size its learning rate is: '
                           'add auto_scale_lr = dict(base_batch_size=...)')
        cfg.auto_scale_lr.enable = True
    cfg.load_partial = args.partial
    if args.resume is not None:
        cfg.resume = 'auto' if args.resume == 'auto' else True
        if args.resume != 'auto':
            cfg.load_from = args.resume
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()

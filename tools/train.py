"""Trains a model: ``python tools/train.py configs/skf/drbn_skf_lol.py``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

from torch.distributed.elastic.multiprocessing.errors import record

from mmskf.apis.cli import add_runner_arguments, runner_config
from mmskf.apis.config import check_trainable
from mmskf.engine import Runner
from mmskf.utils.errors import run_tool


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='PATH|auto',
                        help='resume from a checkpoint, or from the newest intact one in the work dir; starts a new training '
                        'if there is none yet')
    parser.add_argument('--partial', action='store_true',
                        help='start from the weights of load_from that match the model, if not all do')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate by the total batch size over the config's auto_scale_lr.base_batch_size")
    add_runner_arguments(parser)
    return parser.parse_args(args)


@record  # makes torchrun show the error that ended one of several processes last
def main(args=None):
    args = parse_args(args)
    cfg = runner_config(args)
    check_trainable(cfg)
    if args.auto_scale_lr:
        if 'auto_scale_lr' not in cfg:
            raise KeyError(f'--auto-scale-lr: {args.config} does not give the total batch size for its learning rate: '
                           'add auto_scale_lr = dict(base_batch_size=...)')
        cfg.auto_scale_lr.enable = True
    cfg.load_partial = args.partial
    if args.resume is not None:
        cfg.resume = 'auto' if args.resume == 'auto' else True
        if args.resume != 'auto':
            cfg.load_from = args.resume
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    run_tool(main)

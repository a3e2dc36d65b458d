"""Trains a model: ``python tools/train.py configs/skf/drbn_skf_lol.py``."""
import argparse
import os
from pathlib import Path

from mmengine.config import DictAction
from mmengine.runner import Runner

from mmskf.apis import load_config, use_amp
from mmskf.compat import prepare_launch_without_gpu


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--work-dir', help='where logs, pictures and checkpoints go (default: work_dirs/CONFIG)')
    parser.add_argument('--data-root', help="where the images lie (default: the config's)")
    parser.add_argument('--resume', nargs='?', const='auto', metavar='PATH|auto',
                        help='go on from a checkpoint, or from the last one in the work dir')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate by the total batch size over the config's auto_scale_lr.base_batch_size")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='FIELD=VALUE',
                        help='change fields of the config, such as train_cfg.max_iters=1000')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(args)


def main(args=None):
    args = parse_args(args)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, args.data_root)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr:
        cfg.auto_scale_lr.enable = True
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    prepare_launch_without_gpu(cfg)
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()

"""Tests a model: ``python tools/test.py configs/baseline/drbn_lol.py CHECKPOINT``."""
import argparse
import os
from pathlib import Path

from mmengine.config import DictAction
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmskf.apis import load_config, load_weights, use_amp
from mmskf.compat import prepare_launch_without_gpu


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--work-dir', help='where the log goes (default: work_dirs/CONFIG)')
    parser.add_argument('--data-root', help="where the images lie (default: the config's)")
    parser.add_argument('--out', metavar='FILE.csv', help='write the scores of every image to this file')
    parser.add_argument('--show-dir', help='write the enhanced images into this folder')
    parser.add_argument('--tta', action='store_true', help='average every image over its four flips')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='FIELD=VALUE',
                        help='change fields of the config, such as test_dataloader.num_workers=0')
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
    if args.tta:
        cfg.merge_from_dict({'model.test_cfg.tta': True})
    if args.out:
        cfg.custom_hooks.append(dict(type='PerImageScoresHook', out_file=args.out))
    if args.show_dir:
        cfg.custom_hooks.append(dict(type='SaveImagesHook', out_dir=args.show_dir))
    prepare_launch_without_gpu(cfg)
    runner = Runner.from_cfg(cfg)
    load_weights(runner.model.module if is_model_wrapper(runner.model) else runner.model, args.checkpoint)
    return runner.test()


if __name__ == '__main__':
    main()

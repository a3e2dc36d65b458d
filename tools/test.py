"""Tests a model: ``python tools/test.py configs/baseline/drbn_lol.py CHECKPOINT``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

from mmengine.model import is_model_wrapper
from torch.distributed.elastic.multiprocessing.errors import record

from mmskf.apis import has_weights, indexed_weights, load_weights, use_unpaired
from mmskf.apis.cli import add_runner_arguments, runner_config
from mmskf.engine import Runner
from mmskf.utils.errors import run_tool


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', nargs='?', help='path or URL of the weights (default: those in the model index, if any)')
    parser.add_argument('--out', metavar='FILE.csv', help='write the scores of every image to this file')
    parser.add_argument('--show-dir', help='write the enhanced images into this folder')
    parser.add_argument('--tta', action='store_true', help='average every image over its four flips')
    parser.add_argument('--unpaired', metavar='ROOT',
                        help='test on photos without ground truth: NIQE on those of MEF, LIME, NPE, DICM and VV that are in ROOT')
    add_runner_arguments(parser)
    args = parser.parse_args(args)
    if args.unpaired and args.data_root:
        parser.error('--unpaired says where the photos lie: leave --data-root out')
    return args


@record  # makes torchrun show the error that ended one of several processes last
def main(args=None):
    args = parse_args(args)
    cfg = runner_config(args)
    if args.tta:
        cfg.merge_from_dict({'model.test_cfg.tta': True})
    if args.unpaired:
        use_unpaired(cfg, args.unpaired)
    cfg.load_from = None  # the initial weights of a training would overwrite the checkpoint
    hooks = cfg.setdefault('custom_hooks', [])
    if args.out:
        hooks.append(dict(type='PerImageScoresHook', out_file=args.out))
    if args.show_dir:
        hooks.append(dict(type='SaveImagesHook', out_dir=args.show_dir))
    runner = Runner.from_cfg(cfg)
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    if args.unpaired:
        model.data_preprocessor.data_keys = None  # otherwise it warns about every photo without ground truth
    checkpoint = args.checkpoint or indexed_weights(cfg)
    if checkpoint:
        load_weights(model, checkpoint)
    elif has_weights(model):
        raise ValueError(f'{args.config} was given no weights: its results are random. Give the checkpoint after it')
    runner.test()


if __name__ == '__main__':
    run_tool(main)

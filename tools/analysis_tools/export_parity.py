"""Compares exported models with PyTorch: ``export_parity.py drbn_lol drbn_skf_lol --sizes 192x256 --bank skb/hrnet_w18s_camvid``.

Each model is exported to ONNX, and run by onnxruntime and by PyTorch on the same synthetic dark photos, of sizes that were not
traced. The weights are random unless the model index has some: the arithmetic is the same. Models that differ in their training
alone are one row. Each row is measured in a fresh process, and printed as soon as it is known.
"""
import argparse
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import numpy as np
import torch

from mmskf.apis import indexed_weights, init_model, load_config
from mmskf.apis.config import bank_config, first_test_dataloader, model_index
from mmskf.export.exporter import DTYPES, ExportError, example, export_model, exportable
from mmskf.export.runtime import ExportedModel
from mmskf.utils.errors import run_tool
from mmskf.utils.options import image_size, positive
from mmskf.utils.tables import markdown_row, markdown_table

HEADINGS = ('models', 'largest difference', 'mean difference', 'MB', 'seconds in PyTorch', 'seconds in onnxruntime')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare exported models with PyTorch.')
    parser.add_argument('models', nargs='*', help='names or configs (default: all models of the index)')
    parser.add_argument('--sizes', type=image_size, nargs='+', default=[(96, 128), (130, 91)], metavar='HEIGHTxWIDTH',
                        help='image sizes; the first is timed (default: 96x128 130x91)')
    parser.add_argument('--bank', help='another knowledge bank, such as skb/hrnet_w18s_camvid')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='(default: float32)')
    parser.add_argument('--threads', type=positive, default=torch.get_num_threads(), help='CPU threads (default: %(default)s)')
    parser.add_argument('--repeats', type=positive, default=3, help='timed runs, whose median is shown (default: 3)')
    return parser.parse_args(args)


def timed(run, repeats):
    """The result of a function, and the median of its seconds, after one run that is not timed."""
    result, seconds = run(), []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def config_of(name, bank=None):
    """The config of a model, with another knowledge bank or random weights in its own, which may have to be downloaded."""
    cfg = load_config(name)
    if bank and cfg.model.get('skb'):
        cfg.model.skb = bank_config(bank)
    elif cfg.model.get('skb'):
        cfg.model.skb.checkpoint = None
    return cfg


def grouped(names):
    """Lists of models whose exported files are the same."""
    groups = {}
    for name in names:
        cfg = config_of(name)
        model = {key: value for key, value in cfg.model.items() if not key.endswith('_loss') and key != 'discriminator'}
        pipeline = first_test_dataloader(cfg).dataset.pipeline
        groups.setdefault(str((model, pipeline, indexed_weights(cfg))), []).append(name)
    return list(groups.values())


def measure(name, args):
    """One row of the table without its name; must be called in a fresh process."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    warnings.simplefilter('ignore')
    cfg = config_of(name, args.bank)
    model = init_model(cfg, indexed_weights(cfg))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False), torch.no_grad():
        path = Path(folder) / 'model.onnx'
        report = export_model(model, path, args.dtype, name=name)
        module = exportable(model, False, name)
        session = ExportedModel(path, threads=args.threads).session
        differences, seconds = [], []
        for seed, size in enumerate(args.sizes, 3):
            image, = example(size, {}, seed)
            runs = (lambda image=image: module(image).numpy(),
                    lambda image=image: session.run(None, dict(image=image.numpy()))[0])
            (expected, in_pytorch), (found, in_onnxruntime) = (timed(run, args.repeats) for run in runs)
            if np.ptp(expected) == 0:
                raise ValueError('with these weights its output is one color, so there is nothing to compare')
            differences.append(np.abs(found - expected))
            seconds.append((in_pytorch, in_onnxruntime))
    mean = np.mean([difference.mean() for difference in differences])
    return [f'{max(difference.max() for difference in differences):.1e}', f'{mean:.1e}', f'{report.size / 1e6:.1f}',
            *(f'{value:.2f}' for value in seconds[0])]


def main(args=None):
    args = parse_args(args)
    print(markdown_table(HEADINGS, []), end='')
    for names in grouped(args.models or [model['Name'] for model in model_index()]):
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            try:
                row = pool.submit(measure, names[0], args).result()
            except ExportError as error:
                row = [f'not exported: {error}', *4 * ['']]
            except Exception as error:  # of any kind, in a process of its own: the other models are measured
                row = [f'failed: {type(error).__name__}: {error}', *4 * ['']]
        print(markdown_row([', '.join(names), *row]), end='', flush=True)


if __name__ == '__main__':
    run_tool(main)

"""Compares exported models with PyTorch: ``export_parity.py drbn_lol drbn_skf_lol --size 192x256 --bank skb/hrnet_w18s_camvid``.

Each model is exported to ONNX, and run by onnxruntime and by PyTorch on the same synthetic dark photo, of a size that was not
traced. The weights are random unless the model index has some: the arithmetic is the same. Each model runs in a fresh process.
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
from mmengine.config import Config

from mmskf.apis import find_config, indexed_weights, init_model, load_config
from mmskf.apis.config import model_index
from mmskf.export.exporter import DTYPES, ExportError, example, export_model, exportable
from mmskf.export.runtime import ExportedModel
from mmskf.utils.errors import run_tool
from mmskf.utils.options import image_size

HEADINGS = ('model', 'largest difference', 'mean difference', 'MB', 'seconds in PyTorch', 'seconds in onnxruntime')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare exported models with PyTorch.')
    parser.add_argument('models', nargs='*', help='names or configs (default: all models of the index)')
    parser.add_argument('--size', type=image_size, default=(192, 256), metavar='HEIGHTxWIDTH',
                        help='image size (default: 192x256)')
    parser.add_argument('--bank', help='another knowledge bank, such as skb/hrnet_w18s_camvid')
    parser.add_argument('--dtype', choices=DTYPES, default='float32', help='(default: float32)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help='CPU threads (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=3, help='timed runs, whose median is shown (default: 3)')
    return parser.parse_args(args)


def timed(run, repeats):
    """The result of a function, and the median of its seconds, after one run that is not timed."""
    result, seconds = run(), []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)


def measure(name, args):
    """One row of the table; must be called in a fresh process."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    warnings.simplefilter('ignore')
    cfg = load_config(name)
    if args.bank and cfg.model.get('skb'):
        cfg.model.skb = Config.fromfile(find_config(args.bank)).skb
    elif cfg.model.get('skb'):
        cfg.model.skb.checkpoint = None  # its weights may have to be downloaded
    model = init_model(cfg, indexed_weights(cfg))
    image, = example(args.size, {}, seed=3)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode(False):
        path = Path(folder) / 'model.onnx'
        try:
            report = export_model(model, path, args.dtype, name=name)
        except ExportError as error:
            return [name, f'not exported: {error}', *4 * ['']]
        module = exportable(model, False, name)
        with torch.no_grad():
            expected, seconds = timed(lambda: module(image).numpy(), args.repeats)
        session = ExportedModel(path, threads=args.threads).session
        found, seconds_exported = timed(lambda: session.run(None, dict(image=image.numpy()))[0], args.repeats)
    difference = np.abs(found - expected)
    return [name, f'{difference.max():.1e}', f'{difference.mean():.1e}', f'{report.size / 1e6:.1f}', f'{seconds:.2f}',
            f'{seconds_exported:.2f}']


def main(args=None):
    args = parse_args(args)
    print(f'| {" | ".join(HEADINGS)} |\n|{len(HEADINGS) * "---|"}')
    for name in args.models or [model['Name'] for model in model_index()]:
        with ProcessPoolExecutor(1, get_context('spawn')) as pool:
            print(f'| {" | ".join(pool.submit(measure, name, args).result())} |', flush=True)


if __name__ == '__main__':
    run_tool(main)

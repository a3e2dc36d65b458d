"""NIQE of any number of models on photos without ground truth, in one table: ``niqe_table.py data/unpaired --models lime clahe``.

A model is given with its checkpoint, as in ``drbn_lol=checkpoints/drbn.pth``, unless it needs none. The table has a column for
each of the data sets MEF, LIME, NPE, DICM and VV that is in ROOT. Files are written after each model, so that an interruption
costs one row; a model that fails on a photo gets no scores, and does not stop the others.
"""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import numpy as np
from rich.console import Console
from rich.progress import track

from mmskf.apis import SKFInferencer
from mmskf.apis.cli import add_device_argument
from mmskf.datasets import unpaired_sets
from mmskf.evaluation import NIQE, NOT_MEASURED
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open, check_destination
from mmskf.utils.image_folder import list_images
from mmskf.utils.logs import logs_to_stderr
from mmskf.utils.tables import markdown_table, write_csv

FORMATS = ('.md', '.csv')


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='NIQE of models on photos without ground truth, as one table')
    parser.add_argument('root', help='folder that contains one or more of MEF, LIME, NPE, DICM and VV')
    parser.add_argument('--models', nargs='+', required=True, metavar='MODEL[=WEIGHTS]',
                        help='names of "mmskf list" or configs, with their checkpoints, such as clahe drbn_lol=drbn.pth')
    parser.add_argument('--out', nargs='+', type=Path, default=[], metavar='FILE', help='also write the table there: .md or .csv')
    add_device_argument(parser, default=None)
    args = parser.parse_args(args)
    for path in args.out:
        if path.suffix not in FORMATS:
            parser.error(f'--out {path}: choose a name that ends in {" or ".join(FORMATS)}')
    return args


def build(models: Sequence[str], device: str | None) -> list[tuple[str, SKFInferencer]]:
    """The models with their weights, by the names of their rows; a wrong one is an error before anything is measured."""
    names = [model.partition('=')[0] for model in models]
    return [(model if names.count(name) > 1 else name,
             SKFInferencer(name, model.partition('=')[2] or None, device, require_weights=True))
            for name, model in zip(names, models)]


def mean_niqe(name: str, enhance: SKFInferencer, folder: Path) -> float | None:
    """The mean NIQE of a folder of photos as a model enhances them; None if none of them can be measured.

    Raises:
        OSError, ValueError...: The error of the first photo that fails; it names the photo.
    """
    niqe, count = NIQE(), len(list_images(folder).images)
    results = track(enhance.stream(folder, fail_fast=True), f'{name}, {folder.name}', count, console=Console(stderr=True))
    scores = [score for result in results if (score := niqe.measure(result.prediction)) is not None]
    if len(scores) < count:
        print(f'{name}, {folder.name}: the mean of {len(scores)} of {count} photos: the others are {NIQE.unmeasurable}',
              file=sys.stderr)
    return float(np.mean(scores)) if scores else None


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes the table in the format of the file's name."""
    if path.suffix == '.csv':
        write_csv(path, header, rows)
        return
    with atomic_open(path, 'w') as file:
        file.write(markdown_table(header, rows))


@logs_to_stderr('niqe_table.py')
def main(args: Sequence[str] | None = None) -> int:
    given = parse_args(args)
    root = Path(given.root)
    for path in given.out:
        check_destination(path)
    sets = unpaired_sets(root)
    models = build(given.models, given.device)
    header = ['model', *(f'{data} ({len(list_images(root / data).images)})' for data in sets), 'mean of the sets']
    rows: list[list[str]] = []
    failed = 0
    for name, enhance in models:
        means: list[float | None] = [None] * len(sets)
        try:
            means = [mean_niqe(name, enhance, root / data) for data in sets]
        except Exception as error:  # one model must not lose the rows of the others
            print(f'{name} failed: {error}', file=sys.stderr)
            failed += 1
        known = [mean for mean in means if mean is not None]
        means.append(float(np.mean(known)) if len(known) == len(sets) else None)
        rows.append([name, *(NOT_MEASURED if mean is None else f'{mean:.3f}' for mean in means)])
        for path in given.out:
            write(path, header, rows)
    print(markdown_table(header, rows), end='')
    return int(failed > 0)


if __name__ == '__main__':
    run_tool(main)

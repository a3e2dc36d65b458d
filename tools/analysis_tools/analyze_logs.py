"""Plots training logs: ``analyze_logs.py work_dirs/drbn_lol --keys loss_recon PSNR --out curves.png``."""
import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import matplotlib
import matplotlib.pyplot as plt

from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open, check_destination

matplotlib.use('Agg')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Plot losses and scores over the iterations')
    parser.add_argument('logs', nargs='+', help='work dirs, or scalars.json files')
    parser.add_argument('--keys', nargs='+', default=['loss'], help='one plot each, such as loss_recon PSNR (default: loss)')
    parser.add_argument('--out', default='curves.png', help='picture to write (default: curves.png)')
    return parser.parse_args(args)


def read_scalars(path):
    """Records of a training, oldest first; the several files of a resumed run are joined.

    Raises:
        FileNotFoundError: If there is no log.
    """
    path = Path(path)
    files = [path] if path.is_file() else sorted(path.glob('**/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(f'{path} contains no log (vis_data/scalars.json): give the work dir of a training')
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def main(args=None):
    args = parse_args(args)
    check_destination(args.out)
    figure, axes = plt.subplots(len(args.keys), squeeze=False, figsize=(8, 3 * len(args.keys)))
    logs = {log: read_scalars(log) for log in args.logs}
    for key, axis in zip(args.keys, axes[:, 0]):
        for log, records in logs.items():
            points = [(record['step'], record[key]) for record in records if isinstance(record.get(key), (int, float))]
            if points:  # losses differ between methods
                axis.plot(*zip(*points), label=str(log), marker='.' if len(points) < 30 else None)
                print(f'{log}: {key} {points[0][1]:.4f} at {points[0][0]} -> {points[-1][1]:.4f} at {points[-1][0]}')
        if not axis.lines:
            known = sorted(set().union(*(record for records in logs.values() for record in records)))
            raise KeyError(f'no log has a scalar named {key!r} yet. They have: {", ".join(known)}')
        axis.set(ylabel=key, xlabel='iteration')
        axis.legend(fontsize='small')
    figure.tight_layout()
    with atomic_open(args.out) as file:
        figure.savefig(file, dpi=120, format=Path(args.out).suffix[1:] or 'png')
    print(f'curves: {args.out}')


if __name__ == '__main__':
    run_tool(main)

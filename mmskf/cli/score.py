"""``mmskf score``: image quality, with and without references."""
import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

DESCRIPTION = '''Scores images. Without references: NIQE, how natural an image looks (lower is better). With references, the same
scenes in good light: also PSNR and SSIM (higher is better) and LPIPS (lower is better; it needs the weights of AlexNet, see
docs/metrics.md). An image and its reference have the same name, except for the extension, in the same subfolder of
IMAGES and REFERENCES.'''
Scores = dict[str, float | None]


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('score', help='image quality', description=DESCRIPTION,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('images', metavar='IMAGES', help='an image, or a folder of images')
    parser.add_argument('--reference', metavar='REFERENCES', help='the reference image, or a folder of references')
    parser.add_argument('--out', metavar='FILE.csv', help='also write the scores of every image to this file')
    parser.add_argument('--json', action='store_true', help='print the scores of every image as JSON, for scripts')


def pairs(images: str, references: str | None) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """Images with their references, and a message for each image without one.

    Raises:
        FileNotFoundError: If there is no image, or no such file.
    """
    from mmskf.utils.photos import find_photos

    def by_name(path: str) -> dict[str, Path]:
        sources, _ = find_photos(path)
        if sources[0].error is not None:
            raise sources[0].error
        root = Path(path)
        files = [Path(source.given) for source in sources if isinstance(source.given, str)]
        return {(file.relative_to(root).with_suffix('').as_posix() if root.is_dir() else ''): file for file in files}

    found = by_name(images)
    if references is None:
        return [(path, None) for path in found.values()], []
    known = by_name(references)
    lacking = [f'{path} has no reference: there is no {name}.* in {references}'
               for name, path in found.items() if name not in known]
    return [(path, known[name]) for name, path in found.items() if name in known], lacking


def run(args: argparse.Namespace) -> int:
    """Scores; returns the exit code."""
    from mmskf.datasets import decode_image
    from mmskf.evaluation import LPIPS, NIQE, NOT_MEASURED, PSNR, SSIM
    from mmskf.utils.files import atomic_open, check_destination
    from mmskf.utils.image_folder import Originals

    if args.out:
        check_destination(args.out)
    found, failed = pairs(args.images, args.reference)
    metrics = [NIQE()] if args.reference is None else [PSNR(), SSIM(), LPIPS(), NIQE()]
    if args.out:
        Originals(path for pair in found for path in pair if path).check(args.out)
    rows: list[tuple[str, Scores]] = []
    for path, reference in track(found, 'Scoring', console=Console(stderr=True), disable=len(found) < 2):
        try:
            image = decode_image(path.read_bytes(), str(path))
            gt = None if reference is None else decode_image(reference.read_bytes(), str(reference))
            if gt is not None and gt.shape != image.shape:
                raise ValueError(f'{path} is {image.shape[1]}x{image.shape[0]}, its reference {reference} is '
                                 f'{gt.shape[1]}x{gt.shape[0]}: they must have the same size')
            rows.append((str(path), {metric.metric: metric.measure(image, gt) for metric in metrics}))
        except (OSError, ValueError) as error:
            failed.append(str(error))
    names = [metric.metric for metric in metrics]
    means: dict[str, Any] = {}
    for name in names:
        values = [score for _, scores in rows if (score := scores[name]) is not None]
        means[name] = float(np.mean(values)) if values else NOT_MEASURED
    if args.out:
        with atomic_open(args.out, 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['image', *names])
            writer.writerows([path, *(scores[name] for name in names)] for path, scores in [*rows, ('mean', means)])
    for reason in failed:
        print(f'mmskf: failed: {reason}', file=sys.stderr)
    if args.json:
        print(json.dumps(dict(images=[dict(image=path, **scores) for path, scores in rows], mean=means, failed=failed)))
    else:
        print(f'{len(rows)} images: ' + ', '.join(f'{name} {score if isinstance(score, str) else f"{score:.4f}"}'
                                                  for name, score in means.items()))
        for name in names:
            count = sum(scores[name] is not None for _, scores in rows)
            if 0 < count < len(rows):
                print(f'{name} is the mean of {count} images: the others could not be measured')
    return 1 if failed else 0

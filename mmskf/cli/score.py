"""``mmskf score``: image quality, with and without references."""
import argparse
import csv
import json
import math
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from mmskf.utils.errors import FAILED, WRONG_CALL, message_of

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
    parser.add_argument('images', metavar='IMAGES', help='an image, a folder of images, or a pattern')
    parser.add_argument('--reference', metavar='REFERENCES', help='the reference image, or a folder of references')
    parser.add_argument('--out', metavar='FILE.csv', help='also write the scores of every image to this file')
    parser.add_argument('--json', action='store_true', help='print the scores of every image as JSON, for scripts')


def pairs(images: str, references: str | None) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """Images with their references, and a message for each image without one, or with several.

    Raises:
        FileNotFoundError: If there is no image, or no such file.
    """
    from mmskf.utils.photos import find_photos

    def find(path: str) -> list[tuple[str, Path]]:
        sources, _ = find_photos(path)
        if sources[0].error is not None:
            raise sources[0].error
        return [(source.relative, Path(source.given)) for source in sources if isinstance(source.given, str)]

    found = find(images)
    if references is None:
        return [(path, None) for _, path in found], []
    known = find(references)
    if Path(images).is_file() and Path(references).is_file():
        return [(found[0][1], known[0][1])], []
    by_name: dict[str, dict[str, Path]] = defaultdict(dict)
    for relative, path in known:
        by_name[os.path.splitext(relative)[0]][relative] = path
    matched: list[tuple[Path, Path | None]] = []
    failed: list[str] = []
    for relative, path in found:
        name = os.path.splitext(relative)[0]
        candidates = by_name[name]
        if relative in candidates or len(candidates) == 1:
            matched.append((path, candidates.get(relative) or next(iter(candidates.values()))))
        elif candidates:
            failed.append(f'{path} has several references: {", ".join(map(str, candidates.values()))}')
        else:
            failed.append(f'{path} has no reference: there is no {name}.* in {references}')
    return matched, failed


def run(args: argparse.Namespace) -> int:
    """Scores; returns the exit code."""
    from mmskf.datasets import decode_image
    from mmskf.evaluation import LPIPS, NIQE, NOT_MEASURED, PSNR, SSIM
    from mmskf.utils.files import atomic_open, check_destination
    from mmskf.utils.image_folder import Originals, printable

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
        except Exception as error:  # Of any kind: the other images are scored, and this one is reported.
            reason = message_of(error)
            failed.append(reason if str(path) in reason else f'{path}: {reason}')
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
        print(f'mmskf: failed: {printable(reason)}', file=sys.stderr)
    if args.json:
        images = [dict(image=path, **for_json(scores)) for path, scores in rows]
        print(json.dumps(dict(images=images, mean=for_json(means), failed=failed), allow_nan=False))
    else:
        print(f'{len(rows)} images: ' + ', '.join(f'{name} {score if isinstance(score, str) else f"{score:.4f}"}'
                                                  for name, score in means.items()))
        for metric in metrics:
            count = sum(scores[metric.metric] is not None for _, scores in rows)
            if metric.unmeasurable and count < len(rows):
                print(f'{metric.metric}: {len(rows) - count} of {len(rows)} images could not be measured and are not in the '
                      f'mean, because they are {metric.unmeasurable}')
    if not found:
        return WRONG_CALL
    return FAILED if failed else 0


def for_json(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores as JSON can hold them: the PSNR of identical images is infinite, which becomes a text."""
    return {name: str(score) if isinstance(score, float) and not math.isfinite(score) else score
            for name, score in scores.items()}

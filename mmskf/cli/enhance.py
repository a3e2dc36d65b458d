"""``mmskf enhance``: enhances photos."""
import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import track

from mmskf.export import is_exported

DESCRIPTION = '''Makes dark photos bright. Give photos, folders of photos (all folders in them are searched, too), or patterns
such as "Photos/*.jpg"; the results go into the folder OUT, under the same names and in the same folders, in the same format,
with the camera's data (EXIF) and transparency. Your photos themselves are never changed.'''
EXAMPLES = '''examples:
  mmskf enhance night.jpg -o bright
  mmskf enhance Photos -o bright --side-by-side
  mmskf enhance Photos -o bright --format png --bits 16
  mmskf enhance Photos -o bright --class-strength sky=0.2 road=0.5
  mmskf enhance Photos -o bright --model drbn_skf_lol --weights drbn_skf.pth

Names that begin with a dash go after --, as in: mmskf enhance -o bright -- -night.jpg
The exit code is 0 if everything succeeded, 1 if some photos failed (they are listed), 2 if there was nothing to do
or the call was wrong.'''


def class_strength(text: str) -> tuple[str, float]:
    """CLASS=STRENGTH -> its two parts.

    Raises:
        argparse.ArgumentTypeError: If it has another form.
    """
    name, _, value = text.rpartition('=')
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r}: expected CLASS=STRENGTH, such as sky=0.2') from None


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('enhance', help='make photos bright', description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='photos, folders of photos, or patterns')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='folder for the results; created if needed')

    look = parser.add_argument_group('how the results look')
    look.add_argument('--strength', type=float, default=1., metavar='0..1',
                      help='strength of the enhancement, from 0 (unchanged photo) to 1 (fully enhanced) (default: 1)')
    look.add_argument('--class-strength', nargs='+', type=class_strength, default=[], metavar='CLASS=0..1',
                      help='another strength for parts of the photo, such as sky=0.2; "mmskf info MODEL" lists the classes')
    look.add_argument('--model', help='the method (default: the one that comes with mmskf; "mmskf list" lists them), or a '
                                      'FILE.onnx of "mmskf export"')
    look.add_argument('--weights', metavar='FILE', help='checkpoint of the model, a file or URL')

    files = parser.add_argument_group('files')
    files.add_argument('--format', help='such as jpg, png, tiff, webp, avif (default: that of each photo)')
    files.add_argument('--bits', type=int, choices=(8, 16), default=8, help='per color channel; 16 for png and tiff (default: 8)')
    files.add_argument('--side-by-side', action='store_true', help='also OUT/side_by_side: each photo next to its result')
    files.add_argument('--semantic-map', action='store_true',
                       help='also OUT/semantic_map: the semantic map of each photo, with a legend')

    machine = parser.add_argument_group('speed and memory')
    machine.add_argument('--device', help='cpu, or cuda for the graphics card (default: a graphics card if available)')
    machine.add_argument('--amp', action='store_true', help='compute in half precision: faster on a graphics card')
    machine.add_argument('--batch-size', type=int, default=1, metavar='N',
                         help='photos of the same size to enhance at once (default: 1)')
    machine.add_argument('--max-pixels', type=int, metavar='N',
                         help='larger photos are enhanced in tiles of at most N pixels: a smaller N needs less memory (default: '
                              "the model's own limit; 0: no tiles)")
    machine.add_argument('--pixel-limit', type=int, metavar='N',
                         help='do not read files with more pixels, which could be designed to exhaust the memory (default: '
                              '268,435,456; 0: no limit)')
    machine.add_argument('--bank', metavar='CONFIG', help='the network that segments photos, for --class-strength and '
                                                          "--semantic-map (default: the model's own, or the one in mmskf)")

    report = parser.add_argument_group('output')
    report.add_argument('--fail-fast', action='store_true', help='stop at the first photo that fails')
    report.add_argument('--json', action='store_true', help='print a report as JSON, for scripts')
    report.add_argument('--quiet', action='store_true', help='no progress bar')


def default_model() -> str:
    """The model if none is given."""
    from mmskf.apis import DEFAULT_MODEL
    return DEFAULT_MODEL


def results_of_model(args: argparse.Namespace, pixel_limit: int | None) -> Iterator[Any]:
    """The results of a model with its config and weights."""
    from mmskf.apis import SKFInferencer
    if args.model is None and args.weights is None:
        print(f'mmskf: the model is {default_model()}, which needs no weights. Trained models do better: see mmskf list',
              file=sys.stderr)
    inferencer = SKFInferencer(args.model, args.weights, args.device, args.amp, args.max_pixels, pixel_limit, args.bank)
    return inferencer.stream(
        args.inputs, args.out, batch_size=args.batch_size, format=args.format, bits=args.bits, strength=args.strength,
        class_strength=dict(args.class_strength), side_by_side=args.side_by_side, semantic_map=args.semantic_map)


def results_of_exported(args: argparse.Namespace, pixel_limit: int | None) -> Iterator[Any]:
    """The results of an exported model.

    Raises:
        ValueError: If an option is set that needs the model itself.
    """
    from mmskf.export.runtime import ExportedModel
    names = ('weights', 'class_strength', 'semantic_map', 'amp', 'max_pixels', 'bank')
    refused = [f'--{name.replace("_", "-")}' for name in names if getattr(args, name)]
    if refused or args.batch_size != 1:
        raise ValueError(f'{", ".join(refused) or "--batch-size"}: not for an exported model ({args.model}): give the name '
                         'of the model instead, or leave this out')
    model = ExportedModel(args.model, args.device or 'cpu')
    return model.stream(args.inputs, args.out, args.format, args.bits, args.strength, args.side_by_side, pixel_limit)


def run(args: argparse.Namespace) -> int:
    """Enhances; returns the exit code."""
    from mmskf.utils.image_file import PIXEL_LIMIT
    from mmskf.utils.image_folder import printable
    from mmskf.utils.photos import find_photos

    sources, notes = find_photos(args.inputs, args.out)
    if all(source.error is not None for source in sources):
        # Checked before the model is built, which takes seconds.
        for message in [*notes, *(str(source.error) for source in sources), 'There is nothing to enhance']:
            print(f'mmskf: {message}', file=sys.stderr)
        if args.json:
            print(json.dumps(report(None, args.out, [], [(str(source.given), str(source.error)) for source in sources])))
        return 2
    limit = PIXEL_LIMIT if args.pixel_limit is None else args.pixel_limit or None
    results = (results_of_exported if is_exported(args.model) else results_of_model)(args, limit)
    done: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    stopped = False
    for result in track(results, 'Enhancing', len(sources), console=Console(stderr=True), disable=args.quiet or len(sources) < 2):
        name = str(result.source.given)
        if result.error is None:
            done.append((name, str(result.path)))
        else:
            failed.append((name, str(result.reason)))
            if args.fail_fast:
                stopped = len(done) + len(failed) < len(sources)
                break
    for _, reason in failed:
        print(f'mmskf: failed: {printable(reason)}', file=sys.stderr)
    if args.json:
        print(json.dumps(report(args.model or default_model(), args.out, done, failed)))
    else:
        print(f'{len(done)} of {len(sources)} photos enhanced: {printable(args.out)}'
              + (' (stopped at the first failure)' if stopped else ''))
    return 1 if failed else 0


def report(model: Any, out: str, done: list[tuple[str, str]], failed: list[tuple[str, str]]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return dict(model=model, out=out, enhanced=[dict(input=name, output=path) for name, path in done],
                failed=[dict(input=name, reason=reason) for name, reason in failed])

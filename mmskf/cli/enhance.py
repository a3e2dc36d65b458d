"""``mmskf enhance``: enhances photos."""
import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track

from mmskf.export import is_exported

if TYPE_CHECKING:
    from mmskf.apis import SKFInferencer
    from mmskf.utils.photos import Result, Source

DESCRIPTION = '''Makes dark photos bright. Give photos, folders of photos (all folders in them are searched, too), or patterns
such as "Photos/*.jpg"; the results go into the folder OUT, under the same names and in the same folders, in the same format,
with the camera's data (EXIF) and transparency. Your photos themselves are never changed. Videos are enhanced as well if they
are given by name or pattern, not those in folders.'''
EXAMPLES = '''examples:
  mmskf enhance night.jpg -o bright
  mmskf enhance Photos -o bright --side-by-side
  mmskf enhance Photos -o bright --format png --bits 16
  mmskf enhance Photos -o bright --class-strength sky=0.2 road=0.5
  mmskf enhance Photos -o bright --model drbn_skf_lol --weights drbn_skf.pth
  mmskf enhance night.mp4 -o bright --model clahe --smooth 1

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
        if name:
            return name, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f'{text!r}: expected CLASS=STRENGTH, such as sky=0.2')


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('enhance', help='make photos bright', description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='photos, folders of photos, videos, or patterns')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='folder for the results; created if needed')

    look = parser.add_argument_group('how the results look')
    look.add_argument('--strength', type=float, default=1., metavar='0..1',
                      help='strength of the enhancement, from 0 (unchanged photo) to 1 (fully enhanced) (default: 1)')
    look.add_argument('--class-strength', nargs='+', action='extend', type=class_strength, default=[], metavar='CLASS=0..1',
                      help='another strength for parts of the photo, such as sky=0.2; "mmskf info MODEL" lists the classes')
    add_model_options(look, ', or a FILE.onnx of "mmskf export"')
    look.add_argument('--smooth', type=float, default=0., metavar='SECONDS',
                      help='of a video: smooth the brightness over this time, against flicker (default: 0)')

    files = parser.add_argument_group('files (for photos only)')
    files.add_argument('--format', help='such as jpg, png, tiff, webp, avif (default: that of each photo)')
    files.add_argument('--bits', type=int, choices=(8, 16), default=8, help='per color channel; 16 for png and tiff (default: 8)')
    files.add_argument('--side-by-side', action='store_true', help='also OUT/side_by_side: each photo next to its result')
    files.add_argument('--semantic-map', action='store_true',
                       help='also OUT/semantic_map: the semantic map of each photo, with a legend')

    machine = parser.add_argument_group('speed and memory')
    add_machine_options(machine)
    machine.add_argument('--batch-size', type=int, default=1, metavar='N',
                         help='photos of the same size to enhance at once (default: 1)')
    machine.add_argument('--pixel-limit', type=int, metavar='N',
                         help='do not read files with more pixels, which could be designed to exhaust the memory (default: '
                              '268,435,456; 0: no limit)')

    report = parser.add_argument_group('output')
    report.add_argument('--fail-fast', action='store_true', help='stop at the first photo that fails')
    report.add_argument('--json', action='store_true', help='print a report as JSON, for scripts')
    report.add_argument('--quiet', action='store_true', help='no progress bar')


def add_model_options(group: Any, more: str = '') -> None:
    """Adds the options that choose a model; ``more`` says what else can be one."""
    group.add_argument('--model', help=f'the method (default: the one that comes with mmskf; "mmskf list" lists them){more}')
    group.add_argument('--weights', metavar='FILE', help='checkpoint of the model, a file or URL')


def add_machine_options(group: Any) -> None:
    """Adds the options of :class:`~mmskf.apis.SKFInferencer` that say where and how a model runs."""
    group.add_argument('--device', help='cpu, or cuda for the graphics card (default: a graphics card if available)')
    group.add_argument('--amp', action='store_true', help='compute in half precision: faster on a graphics card')
    group.add_argument('--max-pixels', type=int, metavar='N',
                       help='larger photos are enhanced in tiles of at most N pixels: a smaller N needs less memory (default: '
                            "the model's own limit; 0: no tiles)")
    group.add_argument('--bank', metavar='CONFIG', help='the network that segments photos, for semantic maps and the strength '
                                                        "by class (default: the model's own, or the one in mmskf)")


def results_of_model(args: argparse.Namespace, sources: Sequence['Source'], photos: Sequence['Source'],
                     videos: Sequence['Source'], pixel_limit: int | None) -> Iterator['Result']:
    """The results of a model with its config and weights."""
    from mmskf.apis import SKFInferencer

    inferencer = SKFInferencer(args.model, args.weights, args.device, args.amp, args.max_pixels, pixel_limit, args.bank,
                               require_weights=True)
    results = enhance_videos(inferencer, sources, videos, args) if videos else iter(())
    if photos:
        found = inferencer.stream(
            photos, args.out, batch_size=args.batch_size, format=args.format, bits=args.bits, strength=args.strength,
            class_strength=dict(args.class_strength), side_by_side=args.side_by_side, semantic_map=args.semantic_map)
        results = chain(with_progress(found, photos, args), results)
    return results


def results_of_exported(args: argparse.Namespace, photos: Sequence['Source'], pixel_limit: int | None) -> Iterator['Result']:
    """The results of an exported model.

    Raises:
        ValueError: If an option is set that needs the model itself.
    """
    from mmskf.export.runtime import ExportedModel

    names = ('weights', 'class_strength', 'semantic_map', 'amp', 'bank')
    refused = [f'--{name.replace("_", "-")}' for name in names if getattr(args, name)]
    if refused or args.batch_size != 1:
        raise ValueError(f'{", ".join(refused) or "--batch-size"}: not for an exported model ({args.model}): give the name '
                         'of the model instead, or leave this out')
    model = ExportedModel(args.model, args.device or 'cpu', max_pixels=args.max_pixels)
    found = model.stream(photos, args.out, args.format, args.bits, args.strength, args.side_by_side, pixel_limit)
    return with_progress(found, photos, args)


def with_progress(found: Iterator['Result'], photos: Sequence['Source'], args: argparse.Namespace) -> Iterator['Result']:
    """The same results, with a progress bar if there are several photos."""
    return iter(track(found, 'Enhancing', len(photos), console=Console(stderr=True), disable=args.quiet or len(photos) < 2))


def run(args: argparse.Namespace) -> int:
    """Enhances; returns the exit code."""
    from mmskf.utils.image_file import PIXEL_LIMIT
    from mmskf.utils.image_folder import printable
    from mmskf.utils.photos import find_photos

    sources, notes = find_photos(args.inputs, args.out)
    exported = is_exported(args.model)
    photos, videos = split(sources, exported)
    if args.smooth and not any(source.is_video for source in sources):
        raise ValueError('--smooth is for videos, and none is given: videos are enhanced if they are named')
    for note in notes:
        print(f'mmskf: {note}', file=sys.stderr)
    if all(source.error is not None for source in sources):
        # Checked before the model is built, which takes seconds.
        for source in sources:
            print(f'mmskf: {source.error}', file=sys.stderr)
        if args.json:
            print(json.dumps(report(None, args.out, [], [(str(source.given), str(source.error)) for source in sources])))
        return 2
    limit = PIXEL_LIMIT if args.pixel_limit is None else args.pixel_limit or None
    results = results_of_exported(args, photos, limit) if exported else results_of_model(args, sources, photos, videos, limit)
    done: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    stopped = False
    for result in results:
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
        model = args.model
        if model is None:
            from mmskf.apis import DEFAULT_MODEL as model
        print(json.dumps(report(model, args.out, done, failed)))
    else:
        kinds = ' and '.join(['photos'] * bool(photos) + ['videos'] * bool(videos))
        print(f'{len(done)} of {len(sources)} {kinds} enhanced: {printable(args.out)}'
              + (' (stopped at the first failure)' if stopped else ''))
    return 1 if failed else 0


def split(sources: Sequence['Source'], exported: bool) -> tuple[list['Source'], list['Source']]:
    """The photos and the videos. Where these cannot be enhanced, they fail like photos that cannot be read."""
    videos = [source for source in sources if source.is_video]
    for video in videos:
        try:
            if exported:
                raise ValueError(f'{video.name} is a video, which an exported model does not enhance: give the name of the model')
            from mmskf.apis.video import import_pyav
            import_pyav()
        except (ImportError, ValueError) as error:
            video.error = error
    return [source for source in sources if not source.is_video], [source for source in sources if source.is_video]


def enhance_videos(inferencer: 'SKFInferencer', sources: Sequence['Source'], videos: Sequence['Source'],
                   args: argparse.Namespace) -> Iterator['Result']:
    """Enhances videos one after another; one that fails does not stop the others.

    Raises:
        FileExistsError, OSError, ValueError: Before anything is done, if the call is wrong.
    """
    from mmskf.apis import Result, enhance_video, video_suffix
    from mmskf.apis.video import GainSmoother
    from mmskf.utils.files import check_destination
    from mmskf.utils.image_folder import Originals
    from mmskf.utils.photos import unused

    options: dict[str, Any] = dict(strength=args.strength, class_strength=dict(args.class_strength))
    inferencer.check_options(**options)
    if args.smooth:
        GainSmoother(args.smooth)
    originals = Originals(source.given for source in sources if isinstance(source.given, str))
    used: set[str] = set()
    names = [Path(video.relative).with_suffix(video_suffix(video.relative)).as_posix() for video in videos]
    targets = [Path(args.out, unused(name, used)) for name in names]
    for target in targets:
        originals.check(target)
    check_destination(args.out, folder=True)

    def enhance_frame(image: np.ndarray) -> np.ndarray:
        return inferencer(image, **options)['predictions'][0]

    def results() -> Iterator[Result]:
        for video, target in zip(videos, targets):
            result = Result(video, path=target)
            try:
                enhance_video(str(video.given), target, enhance_frame, args.smooth, show_progress=not args.quiet)
            except Exception as error:  # Of any kind: the others are enhanced, and this one is reported.
                result.error = error
            yield result

    return results()


def report(model: Any, out: str, done: list[tuple[str, str]], failed: list[tuple[str, str]]) -> dict[str, Any]:
    """What ``--json`` prints."""
    return dict(model=model, out=out, enhanced=[dict(input=name, output=path) for name, path in done],
                failed=[dict(input=name, reason=reason) for name, reason in failed])

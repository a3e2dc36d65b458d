"""``mmskf export``: writes a model as a file that runs without mmskf's training code."""
import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from mmskf.export import is_exported

DESCRIPTION = '''Writes a model with its knowledge bank as one file that takes plain RGB images of any size: FILE.onnx for
onnxruntime and "mmskf enhance --model FILE.onnx", which need no PyTorch; FILE.pt2 for torch.export.load. The file is compared
with the model at two sizes, and the difference is printed. See docs/export.md.'''
EXAMPLES = '''examples:
  mmskf export drbn_skf_lol --weights drbn_skf.pth -o drbn_skf.onnx
  mmskf export drbn_skf_lol --weights drbn_skf.pth -o small.onnx --dtype float16
  mmskf enhance Photos -o bright --model drbn_skf.onnx

It needs the packages of mmskf[onnx].'''


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('export', help='write a model as ONNX, or as a program of torch.export',
                                 description=DESCRIPTION, epilog=EXAMPLES,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('model', metavar='MODEL', help='a name of "mmskf list", or a config')
    parser.add_argument('-o', '--out', required=True, metavar='FILE', help='the file, which ends with .onnx or .pt2')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of the model, a file or URL')
    parser.add_argument('--dtype', choices=('float32', 'float16', 'int8'), default='float32',
                        help='of the weights in an ONNX file: float16 halves its size, int8 quarters it (default: float32)')
    parser.add_argument('--given-prior', action='store_true',
                        help='leave the knowledge bank out: the maps of its prior become inputs of the file')
    parser.add_argument('--tiles', action='store_true',
                        help='for large photos, too: the file also holds the network as it is applied to tiles of a photo')
    parser.add_argument('--json', action='store_true', help='print the report as JSON, for scripts')


def run(args: argparse.Namespace) -> int:
    """Exports; returns the exit code."""
    from mmskf.apis import has_weights, indexed_weights, init_model, load_config
    from mmskf.export.exporter import check_target, export_model
    from mmskf.utils.image_folder import Originals, printable

    if is_exported(args.model):
        raise ValueError(f'{args.model} is an exported model already: give the name of the model that it was made from')
    check_target(Path(args.out), args.dtype, args.given_prior, args.tiles)
    cfg = load_config(args.model)
    weights = args.weights or indexed_weights(cfg)
    Originals([args.weights] if args.weights else []).check(args.out)
    model: Any = init_model(cfg, weights)
    if weights is None and has_weights(model):
        warnings.warn(f'{args.model} was given no weights: those in {args.out} are random. Give a checkpoint by --weights',
                      stacklevel=2)
    exported = export_model(model, args.out, args.dtype, args.given_prior, args.model, args.tiles)
    if args.json:
        print(json.dumps(dict(model=args.model, out=args.out, dtype=args.dtype, size=exported.size,
                              max_difference=exported.max_difference, mean_difference=exported.mean_difference)))
    else:
        print(f'{printable(args.out)}: {exported.size / 1e6:.1f} MB, {args.dtype}; it differs from the model in PyTorch by at '
              f'most {exported.max_difference:.2g}, on average by {exported.mean_difference:.2g} (of a range of 1)')
    return 0

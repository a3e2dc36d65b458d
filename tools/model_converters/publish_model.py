"""Makes the weights of a training small enough to share: ``publish_model.py work_dirs/NAME/iter_4000.pth NAME.pth``.

    python tools/model_converters/publish_model.py work_dirs/drbn_skf_lol/iter_291000.pth drbn_skf_lol.pth
    python tools/model_converters/publish_model.py work_dirs/drbn_skf_lol/iter_291000.pth drbn.safetensors --card drbn_skf_lol
    python tools/model_converters/publish_model.py work_dirs/distill/iter_500.pth bank.pth --part network --bare

Of a checkpoint it keeps the weights of the generator, as float16, and nothing else: no optimizer, no discriminator, no config
with the paths of your machine. The name of the file gets the first eight digits of its SHA-256, as is usual for PyTorch, which
loading it verifies. Check that the scores are the same: float16 has 11 bits of precision, and nothing above 65,504.

``--card MODEL`` also writes a model card beside it, NAME-1a2b3c4d.md, from what the model index has on MODEL: cost, data, license
and scores. Model hubs want it under the name README.md.
"""
import argparse
import hashlib
import io
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import safetensors.torch
import torch

from mmskf.apis.model_card import index_entry, model_card
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open, check_destination
from mmskf.weights import read_state_dict


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', type=Path, help='checkpoint of a training')
    parser.add_argument('dst', type=Path,
                        help='file to write, .pth or .safetensors; its name gets the checksum: NAME-1a2b3c4d.pth')
    parser.add_argument('--part', default='generator', help='the part of the model to keep (default: generator)')
    parser.add_argument('--bare', action='store_true', help='without the name of the part in the keys, as for a knowledge bank')
    parser.add_argument('--float32', action='store_true', help='keep the precision')
    parser.add_argument('--card', metavar='MODEL', help='also write a model card: MODEL is the name or config of the model')
    return parser.parse_args(argv)


def select(weights, part, bare=False, float32=False):
    """The weights of a part of a model.

    Args:
        weights (dict[str, Tensor]): Those of the model.
        part (str): Name of the part.
        bare (bool): Whether to remove it from the keys. Defaults to False.
        float32 (bool): Whether to keep the precision. Defaults to False: float16.

    Raises:
        ValueError: If there are none, or a number is too large for float16.
    """
    chosen = {key: value for key, value in weights.items() if key.startswith(f'{part}.')}
    if not chosen:
        parts = sorted({key.split('.')[0] for key in weights})
        raise ValueError(f'--part {part}: the checkpoint contains {", ".join(parts)}')
    published = {}
    for key, value in chosen.items():
        if value.is_floating_point() and not float32:
            rounded = value.half()
            if not rounded.isfinite().all():
                raise ValueError(f'{key} contains numbers of up to {value.abs().max():.3g}, too large for float16: use --float32')
            value = rounded
        # A copy: safetensors refuse weights that share their memory, as those of a network that uses a layer twice do.
        published[key.removeprefix(f'{part}.') if bare else key] = value.clone(memory_format=torch.contiguous_format)
    return published


def serialize(weights, suffix):
    """The content of a file of weights.

    Args:
        weights (dict[str, Tensor]): The weights.
        suffix (str): '.pth' or '.safetensors'.

    Raises:
        ValueError: If it is something else.
    """
    if suffix == '.safetensors':
        return safetensors.torch.save(weights, dict(format='pt'))  # what other libraries ask a file for
    if suffix != '.pth':
        raise ValueError(f'DST ends with {suffix!r}: choose .pth or .safetensors')
    buffer = io.BytesIO()
    torch.save(dict(state_dict=weights), buffer)
    return buffer.getvalue()


def main(argv=None):
    args = parse_args(argv)
    check_destination(args.dst)
    model = index_entry(args.card) if args.card else None
    weights = select(read_state_dict(args.src), args.part, args.bare, args.float32)
    content = serialize(weights, args.dst.suffix)
    digest = hashlib.sha256(content).hexdigest()
    path = args.dst.with_name(f'{args.dst.stem}-{digest[:8]}{args.dst.suffix}')
    with atomic_open(path, 'wb') as file:
        file.write(content)
    print(f'{path}: {len(weights)} tensors, {sum(value.numel() for value in weights.values()):,} numbers, '
          f'{len(content) / 1e6:.1f} MB\nSHA-256: {digest}')
    if model is not None:
        with atomic_open(path.with_suffix('.md'), 'w') as file:
            file.write(model_card(model, path))
        print(f'{path.with_suffix(".md")}: the card; add what the model index does not know, such as limits and license')


if __name__ == '__main__':
    run_tool(main)

"""Reduces a paired data set, such as LOL to 256x256 (``lol256`` in configs/_base_/datasets.py).

    python tools/dataset_converters/resize_pairs.py lol data/LOL data/LOL-256
    python tools/dataset_converters/resize_pairs.py paired data/mine data/mine-small --size 384 256

Folders and names stay, the format becomes PNG. Each side is scaled on its own, by Pillow's bilinear filter, which averages over
all pixels that it covers: less noise than in the originals, and scores that are not comparable with theirs.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

from mmengine.utils import track_iter_progress
from PIL import Image

from mmskf.apis.config import paired_kinds
from mmskf.datasets import EnhancementDataset, decode_image
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open, check_destination


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('kind', choices=paired_kinds(), help='data set; "paired" is {train,test}/{low,high} below SRC')
    parser.add_argument('src', type=Path, help='its folder')
    parser.add_argument('dst', type=Path, help='new folder for the reduced images')
    parser.add_argument('--size', type=int, nargs=2, default=(256, 256), metavar=('WIDTH', 'HEIGHT'), help='(default: 256 256)')
    return parser.parse_args(argv)


def find_images(kind, root):
    """Paths of all images of a paired data set.

    Raises:
        FileNotFoundError: If a folder is missing or contains no image.
        ValueError: If an image has no partner.
    """
    paths = []
    for split in paired_kinds()[kind].values():
        dataset = EnhancementDataset(str(root), split.data_prefix, split.get('filename_tmpl'))
        paths += [Path(sample[f'{side}_path']) for sample in map(dataset.get_data_info, range(len(dataset)))
                  for side in split.data_prefix]
    return paths


def main(argv=None):
    args = parse_args(argv)
    if min(args.size) < 1:
        raise ValueError(f'--size {args.size[0]} {args.size[1]}: width and height must be at least 1')
    if args.dst.exists():
        raise FileExistsError(f'{args.dst} exists already: name a new folder')
    check_destination(args.dst, folder=True)
    paths = find_images(args.kind, args.src)
    for path in track_iter_progress(paths):
        image = Image.fromarray(decode_image(path.read_bytes(), str(path)))
        out = (args.dst / path.relative_to(args.src)).with_suffix('.png')
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(out, 'wb') as file:
            image.resize(tuple(args.size), Image.Resampling.BILINEAR).save(file, format='png')
    print(f'\n{len(paths)} images of {args.size[0]}x{args.size[1]} in {args.dst}')


if __name__ == '__main__':
    run_tool(main)

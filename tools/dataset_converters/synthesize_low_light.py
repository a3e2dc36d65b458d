"""Synthesizes low-light/normal-light pairs from ordinary photos, in the layout of paired_folder in configs/_base_/datasets.py.

    python tools/dataset_converters/synthesize_low_light.py data/demo
    python tools/dataset_converters/synthesize_low_light.py data/mine --photos ~/Pictures --exposure 0.01 0.1

The photos are cut into tiles and darkened by mmskf.datasets.darken. A scene is in train or in test, never in both. The same seed
and flags give the same files. Without --photos, the photos in the scikit-image package are used.
"""
import argparse
import math
import re
import shutil
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import numpy as np
import skimage
from mmengine.utils import track_iter_progress
from PIL import Image

from mmskf.datasets import darken, decode_image
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open, check_destination
from mmskf.utils.image_folder import describe_skipped, list_images

# The natural color photos among scikit-image's images (CC0 or public domain, motorcycle_*: Middlebury stereo 2014).
SHIPPED = ('astronaut.png', 'chelsea.png', 'coffee.png', 'motorcycle_left.png', 'motorcycle_right.png', 'rocket.jpg')
LAYOUTS = dict(paired=dict(train='train', test='test'), lol=dict(train='our485', test='eval15'))
SHIPPED_TEST = ('chelsea', 'coffee')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='output folder: OUT/{train,test}/{low,high}/*.png')
    parser.add_argument('--photos', type=Path, help="folder of photos, including subfolders. Default: scikit-image's own")
    parser.add_argument('--layout', choices=sorted(LAYOUTS), default='paired',
                        help='"paired" makes OUT/{train,test}, the layout of paired_folder in configs/_base_/datasets.py; "lol" '
                             'makes OUT/{our485,eval15}, which every config for LOL accepts as --data-root (default: paired)')
    parser.add_argument('--test', nargs='+', metavar='SCENE',
                        help='scenes for the test split: file names without extension, and without _left or _right, which '
                             'are two views of one scene. Default: a fifth of the scenes, drawn with the seed '
                             f'(of the photos of scikit-image: {" ".join(SHIPPED_TEST)})')
    parser.add_argument('--train-tile', nargs=2, type=int, default=(256, 256), metavar=('WIDTH', 'HEIGHT'), help='pixels')
    parser.add_argument('--test-tile', nargs=2, type=int, default=(400, 300), metavar=('WIDTH', 'HEIGHT'), help='pixels')
    parser.add_argument('--versions', type=int, default=3, help='dark versions of each training tile (default: 3)')
    parser.add_argument('--exposure', nargs=2, type=float, default=(0.015, 0.06), metavar=('MIN', 'MAX'),
                        help='remaining fraction of the light, drawn log-uniformly for each image (default: 0.015 0.06)')
    parser.add_argument('--full-well', type=float, default=15000, help='electrons of a pixel at white (default: 15000)')
    parser.add_argument('--read-noise', type=float, default=5, help='standard deviation in electrons (default: 5)')
    parser.add_argument('--white-balance', type=float, default=0.08,
                        help='standard deviation of the log gain on red and on blue (default: 0.08)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--overwrite', action='store_true', help='remove existing pairs in OUT')
    args = parser.parse_args(argv)
    if not 0 < args.exposure[0] <= args.exposure[1]:
        parser.error(f'--exposure {args.exposure[0]} {args.exposure[1]}: expected 0 < MIN <= MAX')
    if args.full_well <= 0 or args.read_noise < 0 or args.white_balance < 0:
        parser.error('--full-well must be positive, --read-noise and --white-balance must not be negative')
    if min(*args.train_tile, *args.test_tile, args.versions) < 1:
        parser.error('--train-tile, --test-tile and --versions must be at least 1')
    return args


def find_photos(folder=None):
    """Paths of the photos, sorted: all images in a folder and below, or scikit-image's own."""
    if folder is None:
        return [Path(skimage.__file__).parent / 'data' / name for name in SHIPPED]
    photos, skipped = list_images(folder) if folder.is_dir() else ([], [])
    if skipped:
        print(describe_skipped(skipped))
    names = [path.stem for path in photos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'{folder} contains several photos named {", ".join(twice[:5])}: give each its own name')
    return photos


def scene_of(photo):
    """Name of the scene that a photo shows: two views of a stereo camera show the same."""
    return re.sub(r'_(left|right)$', '', photo.stem)


def choose_test_scenes(photos, wanted, shipped, seed):
    """The set of scenes of the test split."""
    scenes = sorted({scene_of(photo) for photo in photos})
    if wanted is None:
        count = max(1, round(len(scenes) / 5))
        wanted = SHIPPED_TEST if shipped else np.random.default_rng(seed).permutation(scenes)[:count]
    unknown = sorted(set(wanted) - set(scenes))
    if unknown:
        raise ValueError(f'--test: no photo of {", ".join(unknown)}; there are {", ".join(scenes)}')
    if len(set(wanted)) == len(scenes):
        raise ValueError(f'All of the {len(scenes)} scenes would be test scenes, and none is left for train: at least two '
                         'scenes are needed')
    return set(wanted)


def tiles(image, width, height):
    """Cuts an image (H, W, 3) into evenly spread tiles of (height, width), or smaller ones if the image is smaller.

    A side that does not divide is rounded: its tiles overlap a little, or leave a rest between or beside them.
    """

    def starts(side, tile):
        count = max(1, round(side / tile))
        return np.linspace(0, max(0, side - tile), count).astype(int) if count > 1 else [max(0, side - tile) // 2]

    for row, top in enumerate(starts(image.shape[0], height)):
        for column, left in enumerate(starts(image.shape[1], width)):
            yield f'{row:02d}{column:02d}', image[top:top + height, left:left + width]


def synthesize(image, name, args):
    """The dark version of an image; its random numbers depend only on ``name`` and the seed."""
    rng = np.random.default_rng([args.seed, zlib.crc32(name.encode())])
    exposure = math.exp(rng.uniform(*np.log(args.exposure)))
    red, blue = np.exp(rng.normal(0, args.white_balance, 2))
    return darken(image, rng, exposure, gains=(red, 1, blue), full_well=args.full_well, read_noise=args.read_noise)


def prepare(out, splits, overwrite):
    for split in splits:
        for side in ('low', 'high'):
            folder = out / split / side
            if folder.is_dir() and any(folder.iterdir()):
                if not overwrite:
                    raise FileExistsError(f'{folder} is not empty: choose another folder, or replace its images with --overwrite')
                shutil.rmtree(folder)
            folder.mkdir(parents=True, exist_ok=True)


def main(argv=None):
    args = parse_args(argv)
    check_destination(args.out, folder=True)
    photos = find_photos(args.photos)
    if not photos:
        raise FileNotFoundError(f'--photos {args.photos}: no such folder, or no image in it')
    test_scenes = choose_test_scenes(photos, args.test, args.photos is None, args.seed)
    folders = LAYOUTS[args.layout]
    prepare(args.out, folders.values(), args.overwrite)
    written = dict(train=0, test=0)
    for photo in track_iter_progress(photos):
        image = decode_image(photo.read_bytes(), str(photo))
        split = 'test' if scene_of(photo) in test_scenes else 'train'
        for position, tile in tiles(image, *(args.test_tile if split == 'test' else args.train_tile)):
            for version in range(args.versions if split == 'train' else 1):
                name = f'{photo.stem}_{position}_{version}.png'
                for side, picture in (('high', tile), ('low', synthesize(tile, name, args))):
                    with atomic_open(args.out / folders[split] / side / name) as file:
                        Image.fromarray(picture).save(file, 'PNG')
                written[split] += 1
    print(f'\n{written["train"]} training and {written["test"]} test pairs in {args.out} '
          f'(test scenes: {", ".join(sorted(test_scenes))})')


if __name__ == '__main__':
    run_tool(main)

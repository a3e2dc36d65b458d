"""An example script for SKFInferencer: enhances photos, and shows all before and after. See also ``mmskf enhance``.

    python demo/enhance.py photos --model drbn_lol --weights drbn.pth --out-dir bright --before-after sheet.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

import mmcv
import numpy as np

from mmskf.apis import SKFInferencer
from mmskf.utils.errors import run_tool
from mmskf.utils.image_file import Photo, write_photo
from mmskf.utils.image_folder import Originals

SHEET_HEIGHT = 300


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Enhance dark photos, and show them before and after')
    parser.add_argument('inputs', nargs='+', help='photos, or folders of photos')
    parser.add_argument('--model', help='a config, or a name of "mmskf list" (default: the method that comes with mmskf)')
    parser.add_argument('--weights', help='path or URL of its checkpoint')
    parser.add_argument('--out-dir', default='enhanced', help='where the results go (default: enhanced)')
    parser.add_argument('--before-after', metavar='FILE', help='also write one picture of all photos beside their results')
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: a GPU where there is one)')
    return parser.parse_args(args)


def sheet(pictures):
    """One picture, RGB: pictures in a common height below each other, on white where they are narrower."""
    rows = [mmcv.imrescale(picture, SHEET_HEIGHT / picture.shape[0]) for picture in pictures]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([mmcv.impad(row, shape=(SHEET_HEIGHT, width), pad_val=(255, 255, 255)) for row in rows])


def main(args=None):
    args = parse_args(args)
    enhance = SKFInferencer(args.model, args.weights, args.device, require_weights=True)
    if args.before_after:
        Originals(enhance.find_files(args.inputs)).check(args.before_after)
    results = enhance(args.inputs, args.out_dir, side_by_side=bool(args.before_after))
    for _, reason in results['failures']:
        print(reason, file=sys.stderr)
    print(f'{len(results["predictions"]) - len(results["failures"])} enhanced pictures: {args.out_dir}')
    pictures = [pictures['side_by_side'] for pictures in results['visualization'] if pictures]
    if args.before_after and pictures:
        image = sheet(pictures)
        write_photo(args.before_after, image, Photo(image), 'PNG')
        print(f'before and after: {args.before_after}')
    return bool(results['failures'])


if __name__ == '__main__':
    run_tool(main)

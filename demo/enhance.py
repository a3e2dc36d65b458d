"""Enhances dark photos: ``python demo/enhance.py photo.jpg --model drbn_lol --weights drbn.pth --out-dir bright``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout's mmskf, whichever is installed

import mmcv
import numpy as np

from mmskf.apis import SKFInferencer, list_models
from mmskf.datasets import decode_image

SHEET_HEIGHT = 300


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Enhance dark photos, with or without a GPU')
    parser.add_argument('inputs', nargs='+', type=Path, help='photos, or folders of photos')
    parser.add_argument('--model', required=True, help=f'a config, or one of: {", ".join(list_models())}')
    parser.add_argument('--weights', help='path or URL of its checkpoint; methods without weights, such as clahe, need none')
    parser.add_argument('--out-dir', default='enhanced', help='where the results go (default: enhanced)')
    parser.add_argument('--before-after', metavar='FILE', help='also write one picture of all photos beside their results')
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: a GPU where there is one)')
    return parser.parse_args(args)


def before_after(pairs):
    """One picture: each row a photo and its result, RGB, in a common height and on white where widths differ."""
    rows = []
    for pair in pairs:
        images = [mmcv.imrescale(image, SHEET_HEIGHT / image.shape[0]) for image in pair]
        rows.append(np.concatenate(images, axis=1))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([mmcv.impad(row, shape=(SHEET_HEIGHT, width), pad_val=(255, 255, 255)) for row in rows])


def main(args=None):
    args = parse_args(args)
    enhance = SKFInferencer(args.model, args.weights, args.device)
    files = enhance.find_files(args.inputs)
    predictions = enhance(files, args.out_dir)['predictions']
    print(f'{len(predictions)} enhanced pictures: {args.out_dir}')
    if args.before_after:
        photos = [decode_image(file.read_bytes(), str(file)) for file in files]
        mmcv.imwrite(before_after(zip(photos, predictions))[..., ::-1], args.before_after)
        print(f'before and after: {args.before_after}')


if __name__ == '__main__':
    main()

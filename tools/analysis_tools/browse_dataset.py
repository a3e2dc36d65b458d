"""Writes a contact sheet of a data set as the model sees it: ``browse_dataset.py configs/baseline/drbn_lol.py``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import mmcv
import numpy as np
from mmengine.registry import DATASETS

from mmskf.apis import load_config, train_dataloader
from mmskf.utils.errors import run_tool
from mmskf.utils.files import check_destination
from mmskf.utils.options import add_cfg_options, positive


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Show the samples of a data set, after its pipeline')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--data-root', help="where the images are (default: the config's)")
    parser.add_argument('--samples', type=positive, default=16, help='number of samples (default: 16)')
    parser.add_argument('--columns', type=positive, default=4, help='samples per row (default: 4)')
    parser.add_argument('--height', type=positive, default=160, help='height of an image in pixels (default: 160)')
    parser.add_argument('--out', default='contact_sheet.png', help='picture to write (default: contact_sheet.png)')
    add_cfg_options(parser)
    return parser.parse_args(args)


def tile(sample, height):
    """The images of one sample side by side, BGR uint8, each in a box one and a half times as wide as high."""
    # Channels appended by a pipeline follow the three of the low-light image.
    tensors = [sample['inputs'][:3]] + ([sample['data_samples'].gt_img] if 'gt_img' in sample['data_samples'] else [])
    boxes = []
    for tensor in tensors:
        image = tensor.numpy().transpose(1, 2, 0)[..., ::-1]
        image = mmcv.imrescale(image, min(height / image.shape[0], height * 3 // 2 / image.shape[1]))
        box = np.full((height, height * 3 // 2, 3), 255, np.uint8)
        box[:image.shape[0], :image.shape[1]] = image
        boxes.append(box)
    return np.concatenate(boxes, axis=1)


def main(args=None):
    args = parse_args(args)
    check_destination(args.out)
    cfg = load_config(args.config, args.cfg_options, args.data_root)
    loaders = train_dataloader(cfg) if args.split == 'train' else cfg[f'{args.split}_dataloader']
    loaders = [loaders] if isinstance(loaders, dict) else loaders
    for number, loader in enumerate(loaders):
        dataset = DATASETS.build(loader.dataset)
        out = Path(args.out).with_stem(f'{Path(args.out).stem}_{number}') if len(loaders) > 1 else Path(args.out)
        chosen = np.linspace(0, len(dataset) - 1, min(args.samples, len(dataset))).astype(int)
        tiles = [tile(dataset[int(index)], args.height) for index in chosen]
        tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % args.columns)
        rows = [np.concatenate(tiles[i:i + args.columns], axis=1) for i in range(0, len(tiles), args.columns)]
        mmcv.imwrite(np.concatenate(rows), str(out))
        print(f'{len(dataset)} samples, {len(chosen)} of them (input, ground truth): {out}')


if __name__ == '__main__':
    run_tool(main)

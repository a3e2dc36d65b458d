"""Measures how much darkness changes what a knowledge bank says: ``skb_stability.py configs/skb/*.py --data-root data/LOL``.

For the low-light and the normal-light image of each pair: the cosine similarity of their features, per level, averaged over the
pixels; and the share of pixels with the same label. For comparison, the same for the low-light image and the normal-light image
of another scene: a bank that says the same of every image would be stable, too. ``--crop 160`` also compares what a bank says of
a random crop of the low-light image with that part of what it says of the whole, which is what cached priors are.
"""
import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_skb import build
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable
from torchvision.transforms.functional import to_tensor

from mmskf.apis.cli import add_device_argument
from mmskf.apis.config import paired_layouts
from mmskf.datasets import EnhancementDataset, decode_image
from mmskf.datasets.prior_cache import PriorCache, View
from mmskf.structures import SemanticPrior
from mmskf.utils.errors import run_tool
from mmskf.utils.options import positive


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare the priors of low-light and normal-light images of the same scene')
    parser.add_argument('banks', nargs='+', help='configs with an skb')
    parser.add_argument('--data-root', required=True, help='where the pairs are')
    parser.add_argument('--layout', choices=paired_layouts(), default='lol', help='folder names (default: lol)')
    parser.add_argument('--split', choices=('train', 'test'), default='test', help='(default: test)')
    parser.add_argument('--crop', type=positive, metavar='SIDE', help='also compare with crops of this size in pixels')
    add_device_argument(parser)
    return parser.parse_args(args)


def similarity(prior, other):
    """Cosine similarity of the features (one number per level) and share of pixels with the same label, if there are labels."""
    values = [F.cosine_similarity(feature, partner, dim=1).mean().item()
              for feature, partner in zip(prior.features, other.features)]
    if prior.logits is not None:
        values.append((prior.labels == other.labels).float().mean().item())
    return values


def similarity_of_crop(bank, image, whole, side, rng):
    """Similarity of the prior of a random crop of an image (1, 3, H, W) to that part of the whole image's, as it is cached."""
    size = tuple(image.shape[-2:])
    if side > min(size):
        raise ValueError(f'--crop {side}: an image is {size[1]}x{size[0]} (width x height), choose a smaller crop')
    rows, columns = (rng.integers(total - side + 1) + np.arange(side) for total in size)
    with TemporaryDirectory() as folder:
        cache = PriorCache(folder, bank.strides, bank.channels)
        cache.write('whole', whole)
        part = cache.read('whole', View(size, rows, columns))
    part = SemanticPrior.of_maps({name: value[None].to(image) for name, value in part.maps.items()})
    return similarity(bank(image[..., rows[0]:rows[0] + side, columns[0]:columns[0] + side]), part)


@torch.inference_mode()
def measure(bank, dataset, device, crop):
    """Means over the pairs, by the name of what the low-light image is compared with."""

    def read(path):
        return to_tensor(decode_image(Path(path).read_bytes(), path))[None].to(device)

    rng, before = np.random.default_rng(0), None
    same, different, crops = [], [], []
    for sample in track_iter_progress([dataset.get_data_info(index) for index in range(len(dataset))]):
        image = read(sample['img_path'])
        low, high = bank(image), bank(read(sample['gt_path']))
        same.append(similarity(low, high))
        if crop:
            crops.append(similarity_of_crop(bank, image, low, crop, rng))
        if before is not None and before.features[0].shape == low.features[0].shape:
            different.append(similarity(low, before))
        before = high
    print()
    partners = {'same scene': same, 'another scene': different, **({f'crop of {crop}x{crop}': crops} if crop else {})}
    return {partner: torch.tensor(values).mean(0).tolist() if values else [] for partner, values in partners.items()}


def main(args=None):
    args = parse_args(args)
    split = paired_layouts()[args.layout][args.split]
    dataset = EnhancementDataset(
        args.data_root, split.data_prefix, split.get('filename_tmpl'), exclude=split.get('exclude', ()))
    banks = {Path(name).stem: build(name).to(args.device) for name in args.banks}
    for name, bank in banks.items():
        if args.crop and bank.image_size:
            raise ValueError(f'--crop: {name} resizes every image to image_size={bank.image_size}, whose priors have no parts')
    table = PrettyTable(['bank', 'partner', 'similarity of the features, fine to coarse', 'same labels'], align='r')
    for name, bank in banks.items():
        for partner, values in measure(bank, dataset, args.device, args.crop).items():
            features = values[:len(bank.strides)]
            labels = values[len(bank.strides):]
            table.add_row([name, partner, ', '.join(f'{value:.3f}' for value in features) or 'none',
                           f'{labels[0]:.3f}' if labels else 'none'])
    print(table)


if __name__ == '__main__':
    run_tool(main)

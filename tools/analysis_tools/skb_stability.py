"""Measures how much darkness changes what a knowledge bank says: ``skb_stability.py configs/skb/*.py --data-root data/LOL``.

For the low-light and the normal-light image of each pair: the cosine similarity of their features, per level, averaged over the
pixels; and the share of pixels with the same label. For comparison, the same for the low-light image and the normal-light image
of another scene: a bank that says the same of every image would be stable, too.
"""
import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]  # this checkout's mmskf, whichever is installed

import torch
import torch.nn.functional as F
from benchmark_skb import build
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable
from torchvision.transforms.functional import to_tensor

from mmskf.apis.cli import add_device_argument
from mmskf.apis.config import paired_layouts
from mmskf.datasets import EnhancementDataset, decode_image
from mmskf.utils.errors import run_tool


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare the priors of low-light and normal-light images of the same scene')
    parser.add_argument('banks', nargs='+', help='configs with an skb')
    parser.add_argument('--data-root', required=True, help='where the pairs are')
    parser.add_argument('--layout', choices=paired_layouts(), default='lol', help='folder names (default: lol)')
    parser.add_argument('--split', choices=('train', 'test'), default='test', help='(default: test)')
    add_device_argument(parser)
    return parser.parse_args(args)


def similarity(prior, other):
    """Cosine similarity of the features (one number per level) and share of pixels with the same label, if there are labels."""
    values = [F.cosine_similarity(feature, partner, dim=1).mean().item()
              for feature, partner in zip(prior.features, other.features)]
    if prior.logits is not None:
        values.append((prior.labels == other.labels).float().mean().item())
    return values


@torch.inference_mode()
def measure(bank, dataset, device):
    """Means over the pairs: of the same scene, and of different scenes."""

    def prior(path):
        return bank(to_tensor(decode_image(Path(path).read_bytes(), path))[None].to(device))

    same, different, before = [], [], None
    for sample in track_iter_progress([dataset.get_data_info(index) for index in range(len(dataset))]):
        low, high = prior(sample['img_path']), prior(sample['gt_path'])
        same.append(similarity(low, high))
        if before is not None and before.features[0].shape == low.features[0].shape:
            different.append(similarity(low, before))
        before = high
    print()
    return [torch.tensor(values).mean(0).tolist() if values else [] for values in (same, different)]


def main(args=None):
    args = parse_args(args)
    split = paired_layouts()[args.layout][args.split]
    dataset = EnhancementDataset(
        args.data_root, split.data_prefix, split.get('filename_tmpl'), exclude=split.get('exclude', ()))
    banks = {Path(name).stem: build(name).to(args.device) for name in args.banks}
    table = PrettyTable(['bank', 'partner', 'similarity of the features, fine to coarse', 'same labels'], align='r')
    for name, bank in banks.items():
        for partner, values in zip(('same scene', 'another scene'), measure(bank, dataset, args.device)):
            features = values[:len(bank.strides)]
            labels = values[len(bank.strides):]
            table.add_row([name, partner, ', '.join(f'{value:.3f}' for value in features) or 'none',
                           f'{labels[0]:.3f}' if labels else 'none'])
    print(table)


if __name__ == '__main__':
    run_tool(main)

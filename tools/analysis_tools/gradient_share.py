"""How much each loss term pulls at the enhanced image: ``gradient_share.py configs/skf/drbn_skf_lol.py CHECKPOINT``.

The paper gives no weights for its terms. mmskf chooses them so that the SCH loss has 5 to 20 % of the reconstruction loss's
gradient norm on the output, on real pairs and with a network that is trained.
"""
import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import torch
from mmengine.config import DictAction
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from prettytable import PrettyTable

from mmskf.apis import init_model, load_config, train_dataloader


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare the gradients of the loss terms on the enhanced image')
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('checkpoint', help='path or URL of the weights')
    parser.add_argument('--data-root', help="where the images lie (default: the config's)")
    parser.add_argument('--batches', type=int, default=16, help='training batches to average over (default: 16)')
    parser.add_argument('--device', default='cpu', help='(default: cpu)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='FIELD=VALUE')
    return parser.parse_args(args)


def gradient_norms(model, data):
    """Value and gradient norm on the enhanced image of every loss term of one batch.

    Where loss_recon does not look at that image (KinD), the gradients are those on the first other output that it looks at:
    the restored reflectance.

    Returns:
        dict[str, tuple[float, float]]: Name of the term -> its value and the norm of its gradient.
    """
    data = model.data_preprocessor(data, training=True)
    gt = data['data_samples'].gt_img
    outputs, prior = model.reconstruct(data['inputs'], gt)
    losses = model.losses(outputs, gt, prior)

    def gradient(loss, output):
        return torch.autograd.grad(loss, output, retain_graph=True, allow_unused=True)[0]

    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    seen = next(output for output in outputs if output.requires_grad and gradient(losses['loss_recon'], output) is not None)
    norms = {}
    for name, loss in losses.items():
        of_loss = gradient(loss, seen) if loss.requires_grad else None
        norms[name] = (loss.item(), 0. if of_loss is None else of_loss.norm().item())
    return norms


def main(args=None):
    args = parse_args(args)
    cfg = load_config(args.config, args.cfg_options, args.data_root)
    model = init_model(cfg, args.checkpoint, args.device).train()
    batches = iter(Runner.build_dataloader(train_dataloader(cfg), seed=0))
    totals = defaultdict(lambda: torch.zeros(2))
    for _ in track_iter_progress(range(args.batches)):
        for name, pair in gradient_norms(model, next(batches)).items():
            totals[name] += torch.tensor(pair) / args.batches
    table = PrettyTable(['term', 'value', 'gradient norm', 'share of loss_recon'], align='r')
    for name, (value, norm) in totals.items():
        table.add_row([name, f'{value:.3e}', f'{norm:.3e}', f'{norm / totals["loss_recon"][1]:.1%}'])
    print(f'\n{table}')


if __name__ == '__main__':
    main()

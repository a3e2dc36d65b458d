"""Measures the gradient share of each loss term: ``gradient_share.py configs/skf/drbn_skf_lol.py CHECKPOINT``.

The paper gives no weights for its terms. mmskf chooses them so that the SCH loss has 5 to 20 % of the reconstruction loss's
gradient norm with respect to the output, on real pairs and with a trained network. A new method has no checkpoint yet, but
training one requires the weights: ``--warm-up 200`` instead of CHECKPOINT first trains that many iterations with the
reconstruction loss alone; a method with staged training divides them among its stages.
"""
import argparse
import copy
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import ProgressBar, track_iter_progress
from prettytable import PrettyTable

from mmskf.apis import init_model, load_config, train_dataloader
from mmskf.apis.cli import add_device_argument
from mmskf.utils.errors import run_tool
from mmskf.utils.options import add_cfg_options, positive


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compare the gradients of the loss terms with respect to the enhanced image')
    parser.add_argument('config', help='path or name of a config')
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument('checkpoint', nargs='?', help='path or URL of the weights')
    start.add_argument('--warm-up', type=int, metavar='ITERATIONS',
                       help='start from random weights, and first train them with the reconstruction loss alone')
    parser.add_argument('--data-root', help="where the images are (default: the config's)")
    parser.add_argument('--batches', type=positive, default=16, help='training batches to average over (default: 16)')
    add_device_argument(parser)
    add_cfg_options(parser)
    return parser.parse_args(args)


def warm_up(cfg, iterations):
    """Trains a model of the config from random weights, without the losses of SKF but with its SE modules.

    Returns:
        dict[str, Tensor]: The weights of its generator.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model.update(sch_loss=None, sa_loss=None, discriminator=None, loss_input='lq', sch_interval=1)
    if not cfg.model.generator.get('se'):
        cfg.model.skb = None
    stages = cfg.train_cfg.get('stages')
    for stage in stages or []:
        stage.iters = -(-iterations // len(stages))
    if not stages:
        cfg.train_cfg.max_iters = iterations
    for loop in ('val', 'test'):
        cfg.update({f'{loop}_{part}': None for part in ('cfg', 'dataloader', 'evaluator')})
    cfg.update(param_scheduler=None, visualizer=None, log_level='WARNING', custom_hooks=[dict(type='NonFiniteLossHook')])
    cfg.default_hooks.update(checkpoint=None, param_scheduler=None)
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        runner.register_hook(Progress(sum(stage.iters for stage in stages) if stages else iterations))
        return runner.train().generator.state_dict()


class Progress(Hook):
    """A progress bar for training with logging disabled."""

    def __init__(self, iterations):
        self.bar = ProgressBar(iterations)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.bar.update()


def gradient_norms(model, data):
    """Value and gradient norm, with respect to the enhanced image, of every loss term for one batch.

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
    if args.warm_up:
        model.generator.load_state_dict(warm_up(cfg, args.warm_up))
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
    run_tool(main)

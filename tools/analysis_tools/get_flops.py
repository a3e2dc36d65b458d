"""Counts parameters and multiply-adds of a model, part by part: ``get_flops.py configs/skf/drbn_skf_lol.py``."""
import argparse
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import torch
from prettytable import PrettyTable
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_flop_count

from mmskf.apis import init_model, load_config
from mmskf.models import KnowledgeBank, SEModule
from mmskf.utils.errors import run_tool
from mmskf.utils.options import add_cfg_options, image_size

NETWORK, SE, SKB = 'enhancement network', 'SE modules', 'knowledge bank'


def parse_args(args=None):
    parser = argparse.ArgumentParser(
        description="Count parameters and multiply-adds. The paper's tables do not include the knowledge bank.")
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--size', type=image_size, default=(400, 600), metavar='HEIGHTxWIDTH',
                        help='image size (default: 400x600)')
    add_cfg_options(parser)
    return parser.parse_args(args)


def flops_of_attention(query, key, value, *args, **kwargs):
    return sdpa_flop_count(query, key, value)


def flops_of_backward_convolution(gradient, x, weight, *args, **kwargs):
    """Each of the gradients of input and weight takes as many operations as the convolution itself."""
    *_, transposed, _, _, wanted = args
    return sum(wanted[:2]) * conv_flop_count(x, weight, gradient, transposed=transposed)


def flop_counter():
    """Counts the operations of a whole run. PyTorch leaves out attention on a CPU, and takes the gradient of the weights of a
    depthwise convolution for that of a full one."""
    counter = FlopCounterMode(display=False, custom_mapping={
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: flops_of_attention,
        torch.ops.aten.convolution_backward: flops_of_backward_convolution
    })
    # The hooks that tell modules apart fail in the backward pass of a reversible flow.
    counter.mod_tracker = nullcontext()
    counter.mod_tracker.parents = {'Global'}
    return counter


def count_parameters(model):
    """Parameters of each part."""
    counts = Counter({NETWORK: 0})
    for module in model.modules():
        if isinstance(module, SEModule):
            counts[SE] += sum(weight.numel() for weight in module.parameters())
        elif isinstance(module, KnowledgeBank):
            counts[SKB] += sum(weight.numel() for weight in module.network.parameters())
    counts[NETWORK] = sum(weight.numel() for weight in model.generator.parameters()) - counts[SE]
    return counts


def count_operations(model, size):
    """Multiply-adds (of convolutions and matrix products) of each part for one image of (height, width).

    Operations inside an SE module or the knowledge bank are attributed to these, wherever they are called from.
    """
    counts, inside, counted = Counter({NETWORK: 0}), [NETWORK], 0
    counter = flop_counter()

    def book():
        nonlocal counted
        total = counter.get_total_flops() // 2
        counts[inside[-1]] += total - counted
        counted = total

    def enter(part):
        book()
        inside.append(part)

    def leave():
        book()
        inside.pop()

    handles = []
    for module in model.modules():
        part = SE if isinstance(module, SEModule) else SKB if isinstance(module, KnowledgeBank) else None
        if part:
            handles += [module.register_forward_pre_hook(lambda *_, part=part: enter(part)),
                        module.register_forward_hook(lambda *_: leave())]
    with counter, torch.no_grad():
        model(torch.rand(1, model.input_channels, *size))
        book()
    for handle in handles:
        handle.remove()
    return counts


def main(args=None):
    args = parse_args(args)
    cfg = load_config(args.config, args.cfg_options)
    if cfg.model.get('skb'):
        cfg.model.skb.checkpoint = None
    model = init_model(cfg)
    parameters, operations = count_parameters(model), count_operations(model, args.size)
    table = PrettyTable(['part', 'parameters', f'GMACs at {"x".join(map(str, args.size))}'], align='r')
    for part in parameters:
        table.add_row([part, f'{parameters[part]:,}', f'{operations[part] / 1e9:.2f}'])
    print(table)


if __name__ == '__main__':
    run_tool(main)

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def run_block(block: Callable[..., Tensor], *inputs: Tensor, with_cp: bool) -> Tensor:
    """Runs a part of a network, by option with activation checkpointing (Chen et al., Training Deep Nets with Sublinear Memory
    Cost, 2016): only its inputs are kept for the backward pass, which runs it once more.

    Args:
        block (callable): The part.
        *inputs (Tensor): Its inputs.
        with_cp (bool): Whether to checkpoint; without gradient it makes no difference.
    """
    return checkpoint(block, *inputs, use_reentrant=False) if with_cp and torch.is_grad_enabled() else block(*inputs)

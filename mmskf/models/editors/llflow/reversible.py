"""Training of invertible layers without keeping their activations, as in RevNet (Gomez et al., NeurIPS 2017)."""
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .flow import InvertibleLayer

# Largest accepted errors of a restored z, relative to its largest value.
MAX_DRIFT = 1e-4
MAX_DRIFT_AUTOCAST = 1e-2  # Where networks round to half precision, errors of this size change its gradients less than it does.


def encode_reversibly(layers: Sequence['InvertibleLayer'], z: Tensor, cond: Tensor) -> tuple[Tensor, Tensor]:
    """Runs a chain of layers, like ``z, logdet = layer(z, cond)`` one after the other.

    Only z before the first and after the last layer is kept for the backward pass, which inverts layer by layer and computes the
    activations of each once more. Where inverses are so ill-conditioned that this does not lead back to the first z (to within
    ``MAX_DRIFT``), the backward pass starts again and computes every z from the first, which is slower but exact.

    Args:
        layers (Sequence[InvertibleLayer]): The layers, none of them random.
        z (Tensor): (N, C, H, W)
        cond (Tensor): The condition of all layers, (N, cond_channels, H, W).

    Returns:
        tuple[Tensor, Tensor]: z (N, C, H, W) and the logdet (N,) of the whole chain.

    Raises:
        RuntimeError: In the backward pass, if it has to be differentiable itself (``create_graph=True``).
    """
    # The weights are arguments, so that their gradients go the usual way, where data-parallel training waits for them.
    return _Chain.apply(layers, z, cond, *(weight for layer in layers for weight in _trained(layer)))


def _trained(layer: 'InvertibleLayer') -> list[nn.Parameter]:
    return [weight for weight in layer.parameters() if weight.requires_grad]


class _Chain(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, layers: Sequence['InvertibleLayer'], z: Tensor, cond: Tensor,
                *weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.layers = layers
        device = z.device.type
        # Not the cache of the outer autocast: it would hand weights that were cast here, without gradient, to others.
        ctx.autocast = dict(device_type=device, dtype=torch.get_autocast_dtype(device),
                            enabled=torch.is_autocast_enabled(device), cache_enabled=False)
        latent, logdet = z, z.new_zeros(len(z))
        with torch.autocast(**ctx.autocast):
            for layer in layers:
                latent, change = layer(latent, cond)
                logdet = logdet + change
        ctx.save_for_backward(z, latent, cond, *weights)
        return latent, logdet

    @staticmethod
    def backward(ctx: Any, grad_z: Tensor, grad_logdet: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError('A reversible flow has no second derivatives (create_graph=True): set '
                               'model.generator.reversible=False')
        z, latent, cond, *_ = ctx.saved_tensors
        restored, gradients = _walk_back(ctx, latent, cond, grad_z, grad_logdet)
        tolerance = MAX_DRIFT_AUTOCAST if ctx.autocast['enabled'] else MAX_DRIFT
        if not (restored - z).abs().max() <= tolerance * z.abs().max():  # or is NaN
            latents = [z]
            with torch.autocast(**ctx.autocast):
                for layer in ctx.layers[:-1]:
                    latents.append(layer(latents[-1], cond)[0])
            _, gradients = _walk_back(ctx, latent, cond, grad_z, grad_logdet, latents)
        return None, *gradients


def _walk_back(ctx: Any, z: Tensor, cond: Tensor, grad_z: Tensor, grad_logdet: Tensor, latents: Sequence[Tensor] = ()
               ) -> tuple[Tensor, list[Tensor | None]]:
    """From the output z of a chain to its input, with the gradients of that, of the condition and of the weights.

    The inputs of the layers are restored from their outputs, unless they are given as ``latents``.
    """
    cond = cond.detach().requires_grad_()
    grad_cond: Tensor | None = None
    grads: list[Tensor | None] = []
    for index, layer in reversed(list(enumerate(ctx.layers))):
        with torch.enable_grad(), torch.autocast(**ctx.autocast):
            output = z.detach().requires_grad_()
            coefficients = layer.coefficients(output, cond)
            with torch.no_grad():
                z = latents[index] if latents else layer.decode(z, *coefficients)
            z = z.detach().requires_grad_()
            encoded = layer.encode(z, *coefficients)
        grad_z, aside, change, *grads_of_layer = torch.autograd.grad(
            encoded, (z, output, cond, *_trained(layer)), (grad_z, grad_logdet), allow_unused=True)
        # The coefficients depend on channels that are the same in input and output.
        grad_z = grad_z if aside is None else grad_z + aside
        if change is not None:
            grad_cond = change if grad_cond is None else grad_cond.add_(change)
        grads[:0] = grads_of_layer
    return z.detach(), [grad_z, grad_cond, *grads]

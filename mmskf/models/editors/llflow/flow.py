"""Layers of a conditional normalizing flow: ``forward(z, cond) -> (z, logdet)`` and ``inverse(z, cond) -> z``.

z is (N, C, H, W), the condition (N, cond_channels, H, W); logdet (N,) is the logarithm of the absolute value of the
Jacobian's determinant. z and logdet keep their type under autocast: only the networks inside may run in half precision.
"""
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine import dist
from mmengine.model import BaseModule, ModuleDict, ModuleList
from torch import Tensor, nn

from mmskf.utils.exporting import is_exporting

from .reversible import encode_reversibly

# Condition numbers, as products of Frobenius norms. They tell how much float32 rounding errors grow: a round trip through one
# matrix of 48 channels changes a latent image by 2e-4 at the first limit and by 0.2 at the second.
WARN_CONDITION = 1e4
MAX_CONDITION = 1 / torch.finfo(torch.float32).eps


class InvertibleLayer(BaseModule):
    """A layer of the flow: a map of z that is simple to invert once its coefficients are known.

    The coefficients may depend on the condition, and on those channels of z that the layer leaves unchanged. So they are the same
    seen from both sides, and a network that predicts them is never inverted.
    """

    def coefficients(self, z: Tensor, cond: Tensor | None) -> tuple[Tensor, ...]:
        """What is predicted from the condition, given the layer's input or its output. Nothing by default."""
        return ()

    @abstractmethod
    def encode(self, z: Tensor, *coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """z, coefficients -> z, logdet"""

    @abstractmethod
    def decode(self, z: Tensor, *coefficients: Tensor) -> Tensor:
        """The inverse of :meth:`encode`."""

    def forward(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.encode(z, *self.coefficients(z, cond))

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        return self.decode(z, *self.coefficients(z, cond))


class ActNorm(InvertibleLayer):
    """Activation normalization (Kingma and Dhariwal, Glow, NeurIPS 2018, section 3.1): (z + bias) * exp(logs).

    The first training batch initializes bias and scale so that each channel has zero mean and unit variance over the batches
    of all processes, unless weights have been loaded. As in the released code, an all-zero bias means not initialized yet.

    Args:
        channels (int): Channels of z.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self._initialized = False

    @torch.no_grad()
    def needs_initialization(self) -> bool:
        """Whether the next batch initializes the layer."""
        if self.training and not self._initialized:
            self._initialized = bool(self.bias.any())  # Checked once, since it synchronizes with the device.
        return self.training and not self._initialized

    @torch.no_grad()
    def initialize(self, z: Tensor) -> None:
        """Sets bias and scale from the statistics of a batch (N, C, H, W), and of those of the other processes."""
        z = z.to(self.bias.dtype)
        mean = z.mean(dim=(0, 2, 3), keepdim=True)
        dist.all_reduce(mean, 'mean')
        variance = (z - mean).square().mean(dim=(0, 2, 3), keepdim=True)
        dist.all_reduce(variance, 'mean')
        self.bias.copy_(-mean)
        self.logs.copy_(-torch.log(variance.sqrt() + 1e-6))
        self._initialized = True

    def forward(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.needs_initialization():
            self.initialize(z)
        return super().forward(z, cond)

    def encode(self, z: Tensor, *coefficients: Tensor) -> tuple[Tensor, Tensor]:
        logdet = self.logs.sum() * (z.shape[2] * z.shape[3])
        return (z + self.bias) * self.logs.exp(), logdet.expand(len(z))

    def decode(self, z: Tensor, *coefficients: Tensor) -> Tensor:
        return z * torch.exp(-self.logs) - self.bias


class InvertibleConv1x1(InvertibleLayer):
    """Invertible 1x1 convolution (Glow, section 3.2), initialized as a random rotation.

    In eval mode without gradient the inverse matrix is computed once and cached until the weights change.

    Args:
        channels (int): Channels of z.

    Raises:
        ValueError: In the inverse pass and in :meth:`check`, if the matrix has become singular. A warning comes first.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0])
        self.name = 'an unnamed flow'  # The network that contains the layer sets its name, for the error.
        self._cache: tuple[Tensor, Tensor] | None = None  # A copy of the weight, and its inverse.
        self._warned = False

    def encode(self, z: Tensor, *coefficients: Tensor) -> tuple[Tensor, Tensor]:
        logdet = torch.linalg.slogdet(self.weight).logabsdet * (z.shape[2] * z.shape[3])
        return self._mix(z, self.weight), logdet.expand(len(z))

    def decode(self, z: Tensor, *coefficients: Tensor) -> Tensor:
        return self._mix(z, self._inverse_weight())

    def check(self) -> None:
        """Raises an error if the matrix cannot be inverted."""
        self._invert()

    @staticmethod
    def _mix(z: Tensor, weight: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return F.conv2d(z, weight[..., None, None])

    def _inverse_weight(self) -> Tensor:
        if self.training or torch.is_grad_enabled():
            return self._invert()
        # Compared by value: averaged weights are copied in place through `.data`, which does not bump the version counter.
        # An export follows a first run, which has filled the cache.
        if self._cache is None or not (is_exporting() or torch.equal(self.weight, self._cache[0])):
            with torch.inference_mode(False), torch.no_grad():
                self._cache = self.weight.detach().clone(), self._invert()
        return self._cache[1]

    def _invert(self) -> Tensor:
        weight = self.weight.double()
        inverse, info = torch.linalg.inv_ex(weight)
        condition = weight.detach().norm() * inverse.detach().norm()
        if info or not condition < MAX_CONDITION:
            raise ValueError(f'The 1x1 matrix of {self.name} has become singular (condition number {condition.item():.3g}), so '
                             'that the flow cannot be inverted: go back to an earlier checkpoint, and continue training with a '
                             'lower learning rate or with gradient clipping (optim_wrapper.clip_grad)')
        if condition > WARN_CONDITION and not self._warned:
            self._warned = True
            warnings.warn(f'The 1x1 matrix of {self.name} is close to singular (condition number {condition.item():.3g}): '
                          'enhanced images lose accuracy. A lower learning rate or gradient clipping '
                          '(optim_wrapper.clip_grad) helps', stacklevel=2)
        return inverse.to(self.weight.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> 'InvertibleConv1x1':
        self._cache = None
        return super()._apply(fn, *args, **kwargs)


class ActNormConv2d(nn.Conv2d):
    """A convolution without bias, followed by an ActNorm that is folded into it."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.actnorm = ActNorm(out_channels)
        nn.init.normal_(self.weight, std=0.05)

    def forward(self, x: Tensor) -> Tensor:
        if self.actnorm.needs_initialization():
            with torch.no_grad():
                self.actnorm.initialize(super().forward(x))
        scale = self.actnorm.logs.exp().flatten()
        bias = self.actnorm.bias.flatten() * scale
        return F.conv2d(x, self.weight * scale[:, None, None, None], bias, padding=self.padding)


class ZeroConv2d(nn.Conv2d):
    """A zero-initialized 3x3 convolution, scaled by exp(3 logs): a flow starts as the identity."""

    bias: nn.Parameter

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.logs = nn.Parameter(torch.zeros(out_channels, 1, 1))
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.exp(3 * self.logs)
        return F.conv2d(x, self.weight * scale[..., None], self.bias * scale.flatten(), padding=self.padding)


class ScaleAndShift(nn.Sequential):
    """The network of a conditional affine layer: feature (N, C, H, W) -> shift and scale, each (N, out_channels, H, W).

    The scale is in (1e-4, 1.0001) and starts at sigmoid(2).
    """

    def __init__(self, in_channels: int, out_channels: int, hidden: int):
        super().__init__(
            ActNormConv2d(in_channels, hidden, 3), nn.ReLU(inplace=True), ActNormConv2d(hidden, hidden, 1),
            nn.ReLU(inplace=True), ZeroConv2d(hidden, 2 * out_channels))

    def forward(self, feature: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        params = super().forward(feature).to(dtype)
        return params[:, 0::2], torch.sigmoid(params[:, 1::2] + 2) + 1e-4


class AffineInjector(InvertibleLayer):
    """Affine injector (Lugmayr et al., SRFlow, ECCV 2020): shifts and scales all of z, as predicted from the condition.

    Args:
        channels (int): Channels of z.
        cond_channels (int): Channels of the condition.
        hidden (int): Width of the network inside.
    """

    def __init__(self, channels: int, cond_channels: int, hidden: int):
        super().__init__()
        self.net = ScaleAndShift(cond_channels, channels, hidden)

    def coefficients(self, z: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.net(cond, z.dtype)

    def encode(self, z: Tensor, *coefficients: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = coefficients
        return (z + shift) * scale, scale.log().sum(dim=(1, 2, 3))

    def decode(self, z: Tensor, *coefficients: Tensor) -> Tensor:
        shift, scale = coefficients
        return z / scale - shift


class ConditionalAffineCoupling(InvertibleLayer):
    """Conditional affine coupling (SRFlow): shifts and scales half of z, as predicted from the condition and the other half.

    Args:
        channels (int): Channels of z.
        cond_channels (int): Channels of the condition.
        hidden (int): Width of the network inside.
    """

    def __init__(self, channels: int, cond_channels: int, hidden: int):
        super().__init__()
        self.kept = channels // 2
        self.net = ScaleAndShift(self.kept + cond_channels, channels - self.kept, hidden)

    def coefficients(self, z: Tensor, cond: Tensor | None) -> tuple[Tensor, Tensor]:
        assert cond is not None
        return self.net(torch.cat([z[:, :self.kept].to(cond.dtype), cond], dim=1), z.dtype)

    def encode(self, z: Tensor, *coefficients: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = coefficients
        return torch.cat([z[:, :self.kept], (z[:, self.kept:] + shift) * scale], dim=1), scale.log().sum(dim=(1, 2, 3))

    def decode(self, z: Tensor, *coefficients: Tensor) -> Tensor:
        shift, scale = coefficients
        return torch.cat([z[:, :self.kept], z[:, self.kept:] / scale - shift], dim=1)


class FlowStep(ModuleDict):
    """One step of the flow: ActNorm, 1x1 convolution and, if conditional, injector and coupling.

    Args:
        channels (int): Channels of z.
        cond_channels (int): Channels of the condition; 0 for a step without one. Defaults to 0.
        hidden (int): Width of the networks of injector and coupling. Defaults to 64.
    """

    def __init__(self, channels: int, cond_channels: int = 0, hidden: int = 64):
        layers = dict(actnorm=ActNorm(channels), invconv=InvertibleConv1x1(channels))
        if cond_channels:
            layers.update(
                injector=AffineInjector(channels, cond_channels, hidden),
                coupling=ConditionalAffineCoupling(channels, cond_channels, hidden))
        super().__init__(layers)

    def forward(self, z: Tensor, cond: Tensor | None = None) -> tuple[Tensor, Tensor]:
        logdet = z.new_zeros(())
        for layer in self.values():
            z, change = layer(z, cond)
            logdet = logdet + change
        return z, logdet

    def inverse(self, z: Tensor, cond: Tensor | None = None) -> Tensor:
        for layer in reversed(self.values()):
            z = layer.inverse(z, cond)
        return z


class ConditionalFlow(BaseModule):
    """The conditional flow of LLFlow (Wang et al., AAAI 2022): between images and latent images of the same size.

    At each level z is squeezed (2x2 pixels become channels), then goes through two unconditional steps and ``steps`` steps with
    the condition of that scale. Nothing is split off.

    Args:
        cond_channels (int): Channels of the conditions.
        steps (int): Conditional steps at each level (K).
        levels (int): Levels (L). Defaults to 3.
        hidden (int): Width of the networks of injectors and couplings. Defaults to 64.
        reversible (bool): Whether training keeps no activations but those between the levels; see
            :func:`~mmskf.models.editors.llflow.reversible.encode_reversibly`. Defaults to False.

    Shape:
        image (N, 3, H, W) with H and W multiples of 2^levels; conditions, coarse to fine: (N, cond_channels, H/2^levels,
        W/2^levels) to (N, cond_channels, H/2, W/2) -> latent (N, 3, H, W), logdet (N,)
    """

    def __init__(self, cond_channels: int, steps: int, levels: int = 3, hidden: int = 64, reversible: bool = False):
        super().__init__()
        self.factor = 2**levels
        self.reversible = reversible
        self._trained_before = False
        self.levels = ModuleList()
        for level in range(1, levels + 1):
            channels = 3 * 4**level
            plain = [FlowStep(channels) for _ in range(2)]
            self.levels.append(ModuleList([*plain, *(FlowStep(channels, cond_channels, hidden) for _ in range(steps))]))

    def forward(self, image: Tensor, conds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        if self.training and not self._trained_before:
            self._trained_before = True
            # Each ActNorm, which may have to be initialized, would break the graph.
            return torch.compiler.disable(self._encode)(image, conds)
        return self._encode(image, conds)

    def _encode(self, image: Tensor, conds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        z, logdet = image, image.new_zeros(())
        for level, cond in zip(self.levels, reversed(conds)):
            z = F.pixel_unshuffle(z, 2)
            if self.reversible and torch.is_grad_enabled():
                # torch.compile does not trace a backward pass that differentiates. A decorator would always import the compiler.
                encode = torch.compiler.disable(encode_reversibly)
                z, change = encode([layer for step in level for layer in step.values()], z, cond)
                logdet = logdet + change
                continue
            for step in level:
                z, change = step(z, cond)
                logdet = logdet + change
        # As released, this is not the inverse of the squeezes: the order of the channels differs.
        return F.pixel_shuffle(z, self.factor), logdet

    def inverse(self, latent: Tensor, conds: Sequence[Tensor]) -> Tensor:
        """latent (N, 3, H, W) -> image (N, 3, H, W)"""
        z = F.pixel_unshuffle(latent, self.factor)
        for level, cond in zip(reversed(self.levels), conds):
            for step in reversed(level):
                z = step.inverse(z, cond)
            z = F.pixel_shuffle(z, 2)
        return z

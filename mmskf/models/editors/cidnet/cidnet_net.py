from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.hvi import hvi_to_rgb, rgb_to_hvi
from mmskf.models.se_modules import SEModuleList
from mmskf.models.whole_image import whole_image
from mmskf.registry import MODELS
from mmskf.structures import HVIOutputs, Prior


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, bias=False)


def depthwise(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)


def resize(x: Tensor, factor: float) -> Tensor:
    """Bilinear, with aligned corners in both directions, as the released weights were trained."""
    return F.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=True)


class CrossAttention(nn.Module):
    """Channel-wise attention whose queries come from one branch, and whose keys and values come from the other.

    Args:
        channels (int): Channels of both inputs.
        heads (int): Attention heads, which split the channels.

    Shape:
        x (N, channels, H, W), other (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Sequential(pointwise(channels, channels), depthwise(channels))
        self.key_value = nn.Sequential(pointwise(channels, 2 * channels), depthwise(2 * channels))
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project_out = pointwise(channels, channels)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        query, key, value = (feature.flatten(2).unflatten(1, (self.heads, -1))
                             for feature in (self.query(x), *self.key_value(other).chunk(2, dim=1)))
        attention = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).mT * self.temperature
        attended = whole_image(attention.softmax(dim=-1)) @ value
        return self.project_out(attended.flatten(1, 2).unflatten(-1, x.shape[-2:]))


class IntensityEnhancement(nn.Module):
    """The product of two gated features (IEL, section 4.2).

    Shape:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, expansion: float = 2.66):
        super().__init__()
        hidden = int(expansion * channels)
        self.expand = nn.Sequential(pointwise(channels, 2 * hidden), depthwise(2 * hidden))
        self.gates = nn.ModuleList(depthwise(hidden) for _ in range(2))
        self.project_out = pointwise(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        first, second = (gate(half).tanh() + half for gate, half in zip(self.gates, self.expand(x).chunk(2, dim=1)))
        return self.project_out(first * second)


class LightenCrossAttention(nn.Module):
    """Cross attention to the other branch, then the enhancement of intensity or color (LCA, section 4.2).

    Args:
        channels (int): Channels of both inputs.
        heads (int): Heads of the attention.
        residual (bool): Whether the second part is residual: in the intensity branch it is, in the color branch it is not.

    Shape:
        x (N, channels, H, W), other (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, heads: int, residual: bool):
        super().__init__()
        self.residual = residual
        self.norm = nn.LayerNorm(channels, eps=1e-6)  # one for all three inputs
        self.attention = CrossAttention(channels, heads)
        self.ffn = IntensityEnhancement(channels)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        x = x + self.attention(self.normed(x), self.normed(other))
        enhanced = self.ffn(self.normed(x))
        return x + enhanced if self.residual else enhanced

    def normed(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class Down(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(resize(self.conv(x), 0.5))


class Up(nn.Module):
    """x (N, inputs, H/2, W/2), skip (N, outputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.fuse = pointwise(2 * outputs, outputs)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.activation(self.fuse(torch.cat([resize(self.conv(x), 2), skip], dim=1)))


class Branch(nn.Module):
    """The layers of one branch.

    Args:
        inputs (int): Channels of its input.
        outputs (int): Channels of its output.
        widths (Sequence[int]): Channels at 1/1, 1/2, 1/4 and 1/8.
        heads (Sequence[int]): Attention heads at 1/2, 1/4 and 1/8.
        decoder (Sequence[int]): Levels of the decoder with cross attention: 2 is at 1/4, 1 at 1/2.
        residual (bool): See :class:`LightenCrossAttention`.
    """

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...], heads: tuple[int, ...], decoder: tuple[int, ...],
                 residual: bool):
        super().__init__()

        def edge(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode='replicate', bias=False)

        def attention(level: int) -> LightenCrossAttention:
            return LightenCrossAttention(widths[level], heads[level - 1], residual)

        pairs = list(pairwise(widths))
        self.stem = edge(inputs, widths[0])
        self.downs = nn.ModuleList(Down(*pair) for pair in pairs)
        self.encoder = nn.ModuleList(map(attention, (1, 2, 3)))
        self.bottleneck = attention(3)
        self.ups = nn.ModuleList(Up(deep, shallow) for shallow, deep in reversed(pairs))
        self.decoder = nn.ModuleList(map(attention, decoder))
        self.head = edge(widths[0], outputs)


@MODELS.register_module()
class CIDNet(EnhancementNet):
    """HVI-CIDNet (Yan et al., CVPR 2025): an intensity and a color branch, coupled by cross attention, in the HVI color space.

    With SKF the SE modules refine the decoders of both branches at every scale. Semantics tell how bright a thing should be as
    well as its colors, and after the last cross attention, at 1/2, nothing passes from one branch to the other any more.

    Args:
        channels (Sequence[int]): Widths at 1/1, 1/2, 1/4 and 1/8. Defaults to (36, 36, 72, 144).
        heads (Sequence[int]): Attention heads at 1/2, 1/4 and 1/8. Defaults to (2, 4, 8).
        saturation (float): Factor of the saturation in testing. The authors use 1.3 for their scores on LOL, chosen on its test
            set. Defaults to 1, no change.
        se (dict, optional): SE modules, coarse to fine: intensity at 1/4, color at 1/4, intensity at 1/2... (see
            :class:`SEModuleList`). Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of 8 -> :class:`HVIOutputs`, its image in [0, 1]

    Raises:
        ValueError: If ``saturation`` is negative.
    """
    size_divisor = 8

    def __init__(self,
                 channels: tuple[int, ...] = (36, 36, 72, 144),
                 heads: tuple[int, ...] = (2, 4, 8),
                 saturation: float = 1.,
                 se: dict | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if saturation < 0:
            raise ValueError(f'saturation of CIDNet is {saturation}: choose 1 (no change) or another factor of 0 or more')
        self.saturation = saturation
        self.density = nn.Parameter(torch.tensor([0.2]))
        # The authors compute a cross attention of the intensity at 1/4 in the decoder as well, but do not use its result.
        self.intensity = Branch(1, 1, channels, heads, decoder=(1, ), residual=True)
        self.color = Branch(3, 2, channels, heads, decoder=(2, 1), residual=False)
        self.se = SEModuleList(se, channels=[width for width in channels[2::-1] for _ in range(2)])
        if self.se:
            # The heads change the image by a few thousandths at first, but for the larger features of SE modules: most of the
            # intensity would be clipped, which leaves no gradient.
            with torch.no_grad():
                for branch in (self.intensity, self.color):
                    branch.head.weight.mul_(0.01)

    def forward(self, inputs: Tensor, prior: Prior = None) -> HVIOutputs:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            HVIOutputs: The enhanced images (N, 3, H, W) in [0, 1], and the density of the color space.
        """
        hvi = rgb_to_hvi(inputs, self.density)
        saturation = 1. if self.training else self.saturation
        return HVIOutputs(hvi_to_rgb(self.enhanced(hvi, prior), self.density, saturation), self.density)

    def enhanced(self, hvi: Tensor, prior: Prior) -> Tensor:
        """Enhances an image in the HVI color space: (N, 3, H, W) -> (N, 3, H, W), unclamped."""
        intensity, color = self.intensity, self.color
        i, c = intensity.stem(hvi[:, 2:]), color.stem(hvi)
        skips = [(i, c)]
        i, c = intensity.downs[0](i), color.downs[0](c)
        i, c = intensity.encoder[0](i, c), color.encoder[0](c, i)
        skips.append((i, c))
        i, c = intensity.downs[1](i), color.downs[1](c)
        skips.append((intensity.encoder[1](i, c), color.encoder[1](c, i)))
        # The result of this attention is used as a skip connection only: a slip in the released code, with which its weights were
        # trained.
        i, c = intensity.downs[2](i), color.downs[2](c)
        i, c = intensity.encoder[2](i, c), color.encoder[2](c, i)
        i, c = intensity.bottleneck(i, c), color.bottleneck(c, i)
        for level, (skip_i, skip_c) in enumerate(reversed(skips)):
            i, c = intensity.ups[level](i, skip_i), color.ups[level](c, skip_c)
            if level == 0:
                c = color.decoder[0](c, i)
            elif level == 1:
                i, c = intensity.decoder[0](i, c), color.decoder[1](c, i)
            i, c = self.se(2 * level, i, prior), self.se(2 * level + 1, c, prior)
        return torch.cat([color.head(c), intensity.head(i)], dim=1) + hvi

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.checkpointing import run_block
from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.models.whole_image import whole_image
from mmskf.registry import MODELS
from mmskf.structures import Prior

from .haar import haar, inverse_haar


def enlarge(x: Tensor, factor: float) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=False)


class SpatialAttention(nn.Module):
    """Scales each pixel by a weight in (0, 1), computed from the maximum and the mean over its channels.

    Shape:
        (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 5, padding=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return x * self.conv(pooled).sigmoid()


class ChannelAttention(nn.Module):
    """Scales each channel by a weight in (0, 1), computed from the means of all channels.

    Shape:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.expand = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.expand(F.relu(self.reduce(x.mean(dim=(2, 3), keepdim=True))))
        return x * whole_image(weights.sigmoid())


class HalfWaveletAttentionBlock(nn.Module):
    """Half-wavelet attention block of HWMNet: refines one half of the channels in the wavelet domain.

    Args:
        channels (int): Channels of the input and the output, 8 or more and even.

    Shape:
        (N, channels, H, W), H and W even -> (N, channels, H, W)
    """

    def __init__(self, channels: int):
        super().__init__()
        bands = 2 * channels  # four subbands for each channel of the half
        self.conv1 = nn.Conv2d(bands, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, bands, 3, padding=1, bias=False)
        self.spatial_attention = SpatialAttention()
        self.channel_attention = ChannelAttention(bands)
        self.merge = nn.Conv2d(2 * bands, bands, 1, bias=False)
        self.fuse = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(channels, channels, 1, bias=False)
        self.activation = nn.PReLU()  # one for both places, as in the authors' code

    def forward(self, x: Tensor) -> Tensor:
        half, identity = x.chunk(2, dim=1)
        bands = haar(half)
        refined = self.conv2(self.activation(self.conv1(bands)))
        refined = torch.cat([self.spatial_attention(refined), self.channel_attention(refined)], dim=1)
        half = inverse_haar(self.merge(refined) + bands)
        return self.activation(self.fuse(torch.cat([half, identity], dim=1))) + self.shortcut(x)


class SelectiveKernelFusion(nn.Module):
    """MIRNet's SKFF: a weighted sum of several feature maps, with one weight per channel, computed from their means.

    Args:
        channels (int): Channels of each feature map.
        inputs (int): Number of feature maps.
        reduction (int): Reduction of the channels in between. Defaults to 8.
        activation (nn.Module, optional): Of the reduced channels. Defaults to None: PReLU.

    Shape:
        inputs times (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, inputs: int, reduction: int = 8, activation: nn.Module | None = None):
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(channels, channels // reduction, 1, bias=False), activation or nn.PReLU())
        self.expand = nn.ModuleList(nn.Conv2d(channels // reduction, channels, 1, bias=False) for _ in range(inputs))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        means = sum(feature.mean(dim=(2, 3), keepdim=True) for feature in features)
        common = self.reduce(means)
        weights = whole_image(torch.stack([expand(common) for expand in self.expand]).softmax(dim=0))
        return sum(weight * feature for weight, feature in zip(weights, features))


def stage(inputs: int, outputs: int) -> nn.Sequential:
    """One level of the encoder or the decoder."""
    return nn.Sequential(HalfWaveletAttentionBlock(inputs), nn.Conv2d(inputs, outputs, 1))


@MODELS.register_module()
class HWMNet(EnhancementNet):
    """HWMNet (Fan et al., ICIP 2022): a U-Net of half-wavelet attention blocks on M-Net's pyramids of inputs and outputs.

    Each encoder level also sees the image at its own scale; the outputs of the bottleneck and of each decoder level are upsampled
    and fused. With SKF the SE modules refine the outputs of the decoder levels, before the next level and the fusion use them.

    Args:
        channels (int): Width at full resolution, 8 or more and even; it doubles at each level. Defaults to 96.
        depth (int): Number of levels. Defaults to 4.
        se (dict, optional): SE modules on the outputs of the decoder, coarse to fine: at 1/4, 1/2 and 1/1 for a depth of 4
            (see :class:`SEModuleList`). Defaults to None.
        with_cp (bool): Whether to use activation checkpointing for the levels of encoder and decoder and for the SE modules. Less
            memory in training, more time, and the same result. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of ``size_divisor`` = 2^depth -> (N, 3, H, W), unclamped

    Raises:
        ValueError: If ``channels`` is odd or less than 8, or ``depth`` less than 1.
    """
    max_pixels = 300_000

    def __init__(self,
                 channels: int = 96,
                 depth: int = 4,
                 se: dict | None = None,
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if channels % 2 or channels < 8:
            raise ValueError(f'channels of HWMNet is {channels}, expected an even number of 8 or more: its blocks halve them, '
                             'and their attention has an eighth')
        if depth < 1:
            raise ValueError(f'depth of HWMNet is {depth}, expected the number of its levels, 1 or more')
        self.with_cp = with_cp
        self.size_divisor = 2**depth  # the wavelet halves the deepest level once more
        widths = [channels * 2**i for i in range(depth)]
        *_, bottom = widths
        upwards = widths[-2::-1]

        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.encoder = nn.ModuleList(
            stage(width if i == 0 else widths[i - 1] + channels, width) for i, width in enumerate(widths))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * width, width, 1)) for width in widths[:-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(width // 2, width, 1)) for width in upwards)
        self.skips = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for width in upwards)
        self.decoder = nn.ModuleList(stage(2 * width, width) for width in upwards)
        self.se = SEModuleList(se, channels=upwards, with_cp=with_cp)
        self.to_fusion = nn.ModuleList(nn.Conv2d(width, channels, 3, padding=1) for width in (bottom, *upwards))
        self.fusion = SelectiveKernelFusion(channels, inputs=depth)
        self.to_rgb = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor: The enhanced images (N, 3, H, W), unclamped.
        """
        image, skips = inputs, []
        x = run_block(self.encoder[0], self.stem(image), with_cp=self.with_cp)
        for down, level in zip(self.downs, self.encoder[1:]):
            skips.append(x)
            image = enlarge(image, 0.5)
            x = run_block(level, torch.cat([down(x), self.stem(image)], dim=1), with_cp=self.with_cp)

        scale = 2**len(skips)
        # Only the bottleneck is upsampled after its convolution, since its many channels cost least there.
        features = [enlarge(self.to_fusion[0](x), scale)]
        for i, (up, skip, level, convolve) in enumerate(zip(self.ups, self.skips, self.decoder, self.to_fusion[1:])):
            x = run_block(level, torch.cat([up(x), skip(skips.pop())], dim=1), with_cp=self.with_cp)
            x = self.se(i, x, prior)
            scale //= 2
            features.append(convolve(enlarge(x, scale) if scale > 1 else x))
        return inputs + self.to_rgb(self.fusion(features))

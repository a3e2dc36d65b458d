from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior, SemanticPrior

Bands = tuple[Tensor, Tensor, Tensor]


class ResidualDenseBlock(nn.Module):
    """Four densely connected convolutions, fused by a 1x1 convolution, with a residual connection.

    Shape:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, growth: int, layers: int = 4):
        super().__init__()
        self.growth = growth
        self.widths = (channels, *[growth] * (layers - 1))  # of the features that the layers read
        self.convs = nn.ModuleList(nn.Conv2d(sum(self.widths[:i + 1]), growth, 3, padding=1) for i in range(layers))
        self.fusion = nn.Conv2d(channels + layers * growth, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        # A convolution with few outputs is slow on CPUs, whose vectors hold 16 of them. So each feature is convolved once, for
        # all layers that read it, instead of once by each of them.
        convs = cast(Sequence[nn.Conv2d], self.convs)
        parts = [conv.weight.split(self.widths[:i + 1], dim=1) for i, conv in enumerate(convs)]
        kernels = [torch.cat([of_layer[i] for of_layer in parts[i:]]) for i in range(len(parts))]
        biases = [conv.bias for conv in convs if conv.bias is not None]
        features, sums = [x], F.conv2d(x, kernels[0], torch.cat(biases), padding=1).split(self.growth, dim=1)
        for kernel in kernels[1:]:
            features.append(F.relu(sums[0]))
            changes = F.conv2d(features[-1], kernel, padding=1).split(self.growth, dim=1)
            sums = tuple(before + change for before, change in zip(sums[1:], changes))
        features.append(F.relu(sums[0]))
        return x + self.fusion(torch.cat(features, dim=1))


class BandLearningUnit(nn.Module):
    """One recurrence of DRBN: a small U-Net that predicts the image at three scales.

    Args:
        channels (int): Width at full and half resolution; twice that at a quarter.
        growth (int): Growth rate of the dense blocks at full and half resolution; twice that at a quarter.
        se (dict, optional): SE modules on the decoder's features at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`).
            Defaults to None.
        gray_start (bool): As in :class:`DRBNNet`. Defaults to True.
    """

    def __init__(self, channels: int, growth: int, se: dict | None = None, gray_start: bool = True):
        super().__init__()
        wide = 2 * channels

        def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, stride, 1)

        self.shallow1 = conv(6, channels)
        self.shallow2 = conv(channels, channels)
        self.down1 = conv(channels, channels, stride=2)
        self.down2 = conv(channels, wide, stride=2)
        self.rdbs = nn.ModuleList([
            ResidualDenseBlock(channels, growth),
            ResidualDenseBlock(channels, growth),
            ResidualDenseBlock(wide, 2 * growth),
            ResidualDenseBlock(wide, 2 * growth),
            ResidualDenseBlock(channels, growth),
            ResidualDenseBlock(channels, growth)
        ])
        self.up2 = nn.ConvTranspose2d(wide, channels, 4, 2, 1)
        self.up1 = nn.ConvTranspose2d(channels, channels, 4, 2, 1)
        self.to_rgb1 = nn.Sequential(conv(channels, channels), conv(channels, 3))
        self.to_rgb2 = nn.Sequential(conv(channels, channels), conv(channels, 3))
        self.to_rgb4 = nn.Sequential(conv(wide, channels), conv(channels, 3))
        self.se = SEModuleList(se, channels=(wide, channels, channels))
        if gray_start:
            for head, gray in ((self.to_rgb4, 0.5), (self.to_rgb2, 0.), (self.to_rgb1, 0.)):
                nn.init.constant_(head.get_parameter('1.bias'), gray)
                head.get_parameter('1.weight').data *= 0.1

    def forward(self,
                image: Tensor,
                before: Tensor,
                features: Bands | None = None,
                prior: SemanticPrior | None = None) -> tuple[Bands, Bands]:
        """Args:
            image (Tensor): The low-light image (N, 3, H, W).
            before (Tensor): The output of the previous recurrence (N, 3, H, W).
            features (tuple[Tensor], optional): Decoder features of the previous recurrence at 1/1, 1/2 and 1/4.
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            tuple: The images and the decoder features, each at 1/1, 1/2 and 1/4.
        """
        last1, last2, last4 = (0, 0, 0) if features is None else features

        shallow = F.relu(self.shallow1(torch.cat([before, image], dim=1)), inplace=True)
        f1 = F.relu(self.shallow2(shallow), inplace=True)
        f2 = self.down1(self.rdbs[0](f1))
        f4 = self.down2(self.rdbs[1](f2))

        f4 = self.se(0, f4 + self.rdbs[3](self.rdbs[2](f4)) + last4, prior)
        f2 = self.se(1, f2 + self.rdbs[4](self.up2(f4)) + last2, prior)
        f1 = self.se(2, f1 + self.rdbs[5](self.up1(f2)) + shallow + last1, prior)

        out4 = self.to_rgb4(f4)
        out2 = self.to_rgb2(f2) + F.interpolate(out4, scale_factor=2, mode='bilinear', align_corners=False)
        out1 = self.to_rgb1(f1) + F.interpolate(out2, scale_factor=2, mode='bilinear', align_corners=False)
        return (out1, out2, out4), (f1, f2, f4)


@MODELS.register_module()
class DRBNNet(EnhancementNet):
    """DRBN (Yang et al., CVPR 2020), stage 1: recursive band learning.

    Four recurrences, each of which sees the low-light image and the image and decoder features of the previous one. With SKF the
    SE modules are in the decoder of the last recurrence.

    Args:
        channels (int): Width of the features. Defaults to 16.
        growth (int): Growth rate of the dense blocks. Defaults to 8.
        recurrences (int): Number of recurrences. Defaults to 4.
        se (dict, optional): SE modules at 1/4, 1/2 and 1/1 of the last recurrence (see :class:`SEModuleList`).
            Defaults to None.
        gray_start (bool): Whether the output is initialized to about 0.5. SSIM, the loss of DRBN, cannot tell a negative from
            the image itself (both of its factors change sign), so a channel that starts below 0 may stay there. False: random
            initialization, as in the released code. Defaults to True.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of 4 -> (N, 3, H, W), (N, 3, H/2, W/2), (N, 3, H/4, W/4), unclamped
    """
    size_divisor = 4
    early_image = True
    context = 96  # Measured with the authors' weights, which react to zero padding up to 160 pixels away.

    def __init__(self,
                 channels: int = 16,
                 growth: int = 8,
                 recurrences: int = 4,
                 se: dict | None = None,
                 gray_start: bool = True,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.recurrences = nn.ModuleList(
            BandLearningUnit(channels, growth, se if i == recurrences - 1 else None, gray_start) for i in range(recurrences))

    def forward(self, inputs: Tensor, prior: Prior = None) -> Bands:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior or callable, optional): A callable is called with the image of the second-to-last recurrence.

        Returns:
            tuple[Tensor]: The enhanced image at 1/1, 1/2 and 1/4 resolution.
        """
        # Convolutions on CPUs are faster in this format, and everything after the first one inherits it.
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        *first, last = self.recurrences
        images, features = (inputs, ), None
        for recurrence in first:
            images, features = recurrence(inputs, images[0], features)
        images, _ = last(inputs, images[0], features, self.ask(prior, images[0]))
        return images

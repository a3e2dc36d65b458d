from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskf.models.layer_norm import LayerNorm2d
from mmskf.registry import MODELS


class SimpleGate(nn.Module):
    """One half of the channels times the other: (N, 2 * C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)
        return first * second


class NAFBlock(BaseModule):
    """A block without activation functions (NAFNet, Fig. 3c): convolutions with simplified channel attention, then a feed-forward
    network; both are residual, gated, and start at zero.

    Args:
        channels (int): Channels of input and output.

    Shape:
        (N, channels, H, W) -> the same shape
    """

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv2 = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.conv3 = nn.Conv2d(channels, channels, 1)
        self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
        self.conv5 = nn.Conv2d(channels, channels, 1)
        self.sg = SimpleGate()
        self.norm1 = LayerNorm2d(channels, eps=1e-6)
        self.norm2 = LayerNorm2d(channels, eps=1e-6)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        gated = self.sg(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(gated * self.sca(gated))
        return x + self.gamma * self.conv5(self.sg(self.conv4(self.norm2(x))))


@MODELS.register_module()
class NAFNet(BaseModule):
    """NAFNet (Chen et al., "Simple Baselines for Image Restoration", ECCV 2022), with the arguments and weights of
    ``mmagic.NAFNet``, but without the seconds that importing mmagic takes.

    It pads its own input, with zeros at the right and bottom, and returns the size that it is given.

    Args:
        img_channels (int): Channels of the image. Defaults to 3.
        mid_channels (int): Channels of the first stage; each further one has twice as many. Defaults to 16.
        middle_blk_num (int): Blocks between encoder and decoder. Defaults to 1.
        enc_blk_nums (Sequence[int]): Blocks of each stage of the encoder. Defaults to none.
        dec_blk_nums (Sequence[int]): Blocks of each stage of the decoder, from coarse to fine. Defaults to none.

    Shape:
        (N, img_channels, H, W) in [0, 1] -> the same shape, unclamped
    """

    def __init__(self,
                 img_channels: int = 3,
                 mid_channels: int = 16,
                 middle_blk_num: int = 1,
                 enc_blk_nums: Sequence[int] = (),
                 dec_blk_nums: Sequence[int] = ()):
        super().__init__()

        def blocks(channels: int, number: int) -> nn.Sequential:
            return nn.Sequential(*(NAFBlock(channels) for _ in range(number)))

        self.padder_size = 2**len(enc_blk_nums)
        self.intro = nn.Conv2d(img_channels, mid_channels, 3, padding=1)
        self.ending = nn.Conv2d(mid_channels, img_channels, 3, padding=1)
        encoders, downs, decoders, ups = nn.ModuleList(), nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = mid_channels
        for number in enc_blk_nums:
            encoders.append(blocks(channels, number))
            downs.append(nn.Conv2d(channels, 2 * channels, 2, stride=2))
            channels *= 2
        middle = blocks(channels, middle_blk_num)
        for number in dec_blk_nums:
            ups.append(nn.Sequential(nn.Conv2d(channels, 2 * channels, 1, bias=False), nn.PixelShuffle(2)))
            channels //= 2
            decoders.append(blocks(channels, number))
        # In mmagic's order, as the state of an optimizer is saved.
        self.encoders, self.decoders, self.middle_blks, self.ups, self.downs = encoders, decoders, middle, ups, downs

    def forward(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[-2:]
        inputs = F.pad(inputs, (0, -width % self.padder_size, 0, -height % self.padder_size))
        x, skips = self.intro(inputs), []
        for encoder, down in zip(self.encoders, self.downs):
            skips.append(encoder(x))
            x = down(skips[-1])
        x = self.middle_blks(x)
        for up, decoder, skip in zip(self.ups, self.decoders, reversed(skips)):
            x = decoder(up(x) + skip)
        return (self.ending(x) + inputs)[..., :height, :width]

import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.models.whole_image import whole_image
from mmskf.registry import MODELS
from mmskf.structures import Prior

from ..hwmnet.hwmnet_net import SelectiveKernelFusion, enlarge

SLOPE = 0.2


def conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)


class ResidualContextBlock(nn.Module):
    """Two convolutions, then the context of the whole image is added to every pixel; residual (RCB, section 3.1.2).

    Args:
        channels (int): Channels of the input and the output.
        groups (int): Groups of the two 3x3 convolutions.

    Shape:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.body = nn.Sequential(conv(channels, channels, 3, groups), nn.LeakyReLU(SLOPE), conv(channels, channels, 3, groups))
        self.mask = conv(channels, 1, 1)
        self.context = nn.Sequential(conv(channels, channels, 1), nn.LeakyReLU(SLOPE), conv(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        feature = self.body(x)
        attention = self.mask(feature).flatten(2).softmax(dim=-1)
        pooled = (feature.flatten(2) @ attention.mT).unsqueeze(-1)
        return x + F.leaky_relu(feature + self.context(whole_image(pooled)), SLOPE)


class Down(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, ceil(H/2), ceil(W/2))."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False))


class Up(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, 2H, 2W)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return enlarge(self.conv(x), 2)


class MultiScaleBlock(nn.Module):
    """Three streams, at 1/1, 1/2 and 1/4, that are processed and fused twice, by the same layers; residual (MRB, section 3.1).

    Only the upsampling between the streams has weights of its own in each pass.

    Args:
        widths (Sequence[int]): Channels of the streams, fine to coarse.
        groups (int): See :class:`ResidualContextBlock`.
        se (dict, optional): SE modules on the streams after the second pass, coarse to fine (see :class:`SEModuleList`).
            Defaults to None.

    Shape:
        (N, widths[0], H, W), H and W multiples of 4 -> (N, widths[0], H, W)
    """

    def __init__(self, widths: tuple[int, int, int], groups: int, se: dict | None = None):
        super().__init__()
        top, middle, bottom = widths
        self.blocks = nn.ModuleList(ResidualContextBlock(width, groups) for width in widths)
        self.to_middle = Down(top, middle)
        self.to_bottom = nn.Sequential(Down(top, middle), Down(middle, bottom))
        self.from_bottom = nn.ModuleList(Up(bottom, middle) for _ in range(2))
        self.from_middle = nn.ModuleList(Up(middle, top) for _ in range(2))
        self.fuse_top, self.fuse_middle = (
            SelectiveKernelFusion(width, 2, activation=nn.LeakyReLU(SLOPE)) for width in (top, middle))
        self.se = SEModuleList(se, channels=widths[::-1])
        self.project_out = conv(top, top, 1)

    def forward(self, x: Tensor, prior: Prior = None) -> Tensor:
        streams = [x, self.to_middle(x), self.to_bottom(x)]
        for i in range(2):
            top, middle, bottom = (block(stream) for block, stream in zip(self.blocks, streams))
            given = prior if i == 1 else None
            bottom = self.se(0, bottom, given)
            middle = self.se(1, self.fuse_middle([middle, self.from_bottom[i](bottom)]), given)
            top = self.se(2, self.fuse_top([top, self.from_middle[i](middle)]), given)
            streams = [top, middle, bottom]
        return x + self.project_out(top)


class Group(nn.Module):
    """Multi-scale blocks and a convolution; residual (RRG, section 3).

    Args:
        widths (Sequence[int]), groups (int): See :class:`MultiScaleBlock`.
        blocks (int): Number of blocks.
        se (dict, optional): SE modules of the last block. Defaults to None.

    Shape:
        (N, widths[0], H, W), H and W multiples of 4 -> (N, widths[0], H, W)
    """

    def __init__(self, widths: tuple[int, int, int], groups: int, blocks: int, se: dict | None = None):
        super().__init__()
        self.blocks = nn.ModuleList(
            MultiScaleBlock(widths, groups, se if i == blocks - 1 else None) for i in range(blocks))
        self.conv = conv(widths[0], widths[0], 3)

    def forward(self, x: Tensor, prior: Prior = None) -> Tensor:
        feature = x
        for block in self.blocks:
            feature = block(feature, prior)
        return x + self.conv(feature)


@MODELS.register_module()
class MIRNetV2(EnhancementNet):
    """MIRNet-v2 (Zamir et al., TPAMI 2022): parallel streams at three resolutions that exchange information all the way.

    It has no decoder. With SKF the SE modules refine the three streams of the last block before they are fused for the last time:
    no later layer has more than one resolution.

    Args:
        channels (int): Width at full resolution; it grows by half at each level. A multiple of 16. Defaults to 80.
        groups (Sequence[int]): Groups of the convolutions in each group of blocks. Defaults to (1, 2, 4, 4).
        blocks (int): Multi-scale blocks of each group. Defaults to 2.
        se (dict, optional): SE modules, coarse to fine: at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`). Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of 4 -> (N, 3, H, W), unclamped

    Raises:
        ValueError: If ``channels`` is not a multiple of 16.
    """
    size_divisor = 4
    max_pixels = 400_000

    def __init__(self,
                 channels: int = 80,
                 groups: tuple[int, ...] = (1, 2, 4, 4),
                 blocks: int = 2,
                 se: dict | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if channels % 16:
            raise ValueError(f'channels of MIRNetV2 is {channels}, expected a multiple of 16: its lower streams are 1.5 and 2.25 '
                             'times as wide, and its convolutions are split into up to 4 groups')
        widths = (channels, channels * 3 // 2, channels * 9 // 4)
        self.shallow = conv(3, channels, 3)
        self.groups = nn.ModuleList(
            Group(widths, number, blocks, se if i == len(groups) - 1 else None) for i, number in enumerate(groups))
        self.to_rgb = conv(channels, 3, 3)

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor: The enhanced images (N, 3, H, W), unclamped.
        """
        x = self.shallow(inputs)
        for group in self.groups:
            x = group(x, prior)
        return inputs + self.to_rgb(x)

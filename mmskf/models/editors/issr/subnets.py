"""Subnets of ISSR; its decomposition is KinD's."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..kind.subnets import UpConcat, conv, downsample

SLOPE = 0.1  # of the segmentation and the denoising; decomposition and relighting have KinD's 0.2


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def activated(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv3(inputs, outputs), nn.LeakyReLU(SLOPE))


def pool(x: Tensor) -> Tensor:
    """2x2 average pooling that keeps the last row and column of an odd size, like TensorFlow's SAME padding."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbor upsampling to the size of another map."""
    return F.interpolate(x, size=like.shape[-2:])


class SegmentationNet(nn.Module):
    """Class scores of an image or a reflectance.

    Args:
        classes (int): Number of classes.

    Shape:
        (N, 3, H, W) -> (N, classes, H, W)
    """
    widths = (64, 128, 256)

    def __init__(self, classes: int):
        super().__init__()
        fine, middle, coarse = self.widths

        def level(inputs: int, outputs: int, number: int) -> nn.Sequential:
            return nn.Sequential(*(activated(inputs if i == 0 else outputs, outputs) for i in range(number)))

        self.encoder = nn.ModuleList([level(3, fine, 2), level(fine, middle, 2), level(middle, coarse, 4)])
        self.bottleneck = level(coarse, coarse, 3)
        self.ups = nn.ModuleList([conv3(coarse, middle), conv3(middle, fine), conv3(fine, fine)])
        self.head = nn.Sequential(activated(middle + 2 * fine, fine), conv3(fine, fine), nn.Conv2d(fine, classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        pooled, x = [image], image
        for level in self.encoder:
            x = pool(level(x))
            pooled.append(x)
        x = self.bottleneck(x)
        merged = []
        for up, skip, like in zip(self.ups, pooled[:0:-1], pooled[-2::-1]):
            x = up(enlarge(x + skip, like))
            merged.append(x)
        return self.head(torch.cat([enlarge(feature, image) for feature in merged], dim=1))


class ResidualBlock(nn.Module):
    """(N, channels, H, W) -> (N, channels, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(activated(channels, channels), conv3(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGroup(nn.Module):
    """Residual blocks between two 1x1 convolutions; the last one also sees the input (RDB in the released code).

    Shape:
        (N, inputs, H, W) -> (N, channels, H, W)
    """

    def __init__(self, inputs: int, channels: int):
        super().__init__()
        self.reduce = nn.Conv2d(inputs, channels, 1)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(4))
        self.fuse = nn.Conv2d(channels + inputs, channels, 1)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        feature = self.reduce(x)
        for block in self.blocks:
            feature = block(feature)
        return self.fuse(torch.cat([feature, x], dim=1))


class SemanticResidualGroup(ResidualGroup):
    """A residual group that is scaled and shifted, pixel by pixel, according to the semantic map (RIRB).

    Shape:
        x, scale and shift (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels)
        self.before = nn.Conv2d(channels, channels, 1, bias=False)
        self.after = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        feature = self.blocks[1](self.blocks[0](self.reduce(x)))
        feature = self.after(self.before(feature) * (scale + 0.1) + shift)
        feature = self.blocks[3](self.blocks[2](feature))
        return self.fuse(torch.cat([feature, x], dim=1))


class DenoiseNet(nn.Module):
    """Removes the degradations from a reflectance, guided by the semantic map.

    Args:
        classes (int): Channels of the semantic map.
        channels (int): Width. Defaults to 64.

    Shape:
        reflectance (N, 3, H, W), illumination (N, 1, H, W), class probabilities (N, classes, H, W) -> (N, 3, H, W), unbounded
    """

    def __init__(self, classes: int, channels: int = 64):
        super().__init__()
        self.to_scale, self.to_shift = (
            nn.Sequential(activated(classes, channels // 2), conv3(channels // 2, channels), nn.Sigmoid()) for _ in range(2))
        self.shallow = nn.ModuleList([conv3(4, channels), conv3(channels, channels)])
        semantic = (1, 6)
        self.groups = nn.ModuleList(
            SemanticResidualGroup(channels) if i in semantic else ResidualGroup(2 * channels if i == 4 else channels, channels)
            for i in range(8))
        self.fuse = nn.Sequential(nn.Conv2d(4 * channels, channels, 1), conv3(channels, channels))
        self.head = nn.Sequential(activated(channels, channels), conv3(channels, 3))

    def forward(self, reflectance: Tensor, illumination: Tensor, semantics: Tensor) -> Tensor:
        scale, shift = self.to_scale(semantics), self.to_shift(semantics)
        first = self.shallow[0](torch.cat([reflectance, illumination], dim=1))
        second = x = self.shallow[1](first)
        for group in self.groups[:4]:
            x = group(x, scale, shift)
        halfway = x = torch.cat([x, first], dim=1)
        for group in self.groups[4:]:
            x = group(x, scale, shift)
        return self.head(first + self.fuse(torch.cat([second, halfway, x], dim=1)))


class RelightNet(nn.Module):
    """Adjusts the illumination to a target exposure.

    Shape:
        illumination (N, 1, H, W), denoised reflectance (N, 3, H, W), exposure ratio (N, ) -> (N, 1, H, W) in (0, 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.down3 = conv(4, 32, 'tf'), conv(32, 64, 'tf'), conv(64, 128, 'tf')
        self.up2, self.conv2 = UpConcat(128, 64, 'tf'), conv(128, 64, 'tf')
        self.up1, self.conv1 = UpConcat(64, 32, 'tf'), conv(64, 32, 'tf')
        self.to_feature = nn.Conv2d(32, 32, 1)
        self.exposure = nn.Sequential(conv(2, 32, 'tf'), conv(32, 32, 'tf'))
        self.head = nn.Sequential(conv(64, 32, 'tf'), conv(32, 32, 'tf'), nn.Conv2d(32, 1, 1), nn.Sigmoid())

    def forward(self, illumination: Tensor, reflectance: Tensor, ratio: Tensor) -> Tensor:
        fine = self.down1(torch.cat([illumination, reflectance], dim=1))
        middle = self.down2(downsample(fine))
        x = self.conv2(self.up2(self.down3(downsample(middle)), middle))
        feature = self.to_feature(self.conv1(self.up1(x, fine)))
        ratio = ratio.view(-1, 1, 1, 1).expand_as(illumination)
        exposure = self.exposure(torch.cat([illumination, ratio], dim=1))
        return self.head(torch.cat([exposure, feature], dim=1))

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.resnet import BasicBlock, make_res_layer
from torch import Tensor, nn

from mmskf.registry import MODELS

from .knowledge_bank import KnowledgeBank
from .segmentor import IntegerUpsample


def conv(in_channels: int, out_channels: int, stride: int = 1, act: bool = True) -> nn.Sequential:
    """A 3x3 convolution with BatchNorm, and ReLU if wanted."""
    layers = [nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False), nn.BatchNorm2d(out_channels)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if act else []))


class Bottleneck(nn.Module):
    """A residual block of 64 channels inside and 256 outside. mmcv's own lists its convolutions before their BatchNorms, of which
    :func:`mmcv.cnn.fuse_conv_bn` would fold one into another's convolution.

    Args:
        in_channels (int): Channels of the input, 64 or 256.

    Shape:
        (N, in_channels, H, W) -> (N, 256, H, W)
    """

    def __init__(self, in_channels: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 64, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.conv3, self.bn3 = nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256)
        widen = nn.Sequential(nn.Conv2d(in_channels, 256, 1, bias=False), nn.BatchNorm2d(256))
        self.downsample = nn.Identity() if in_channels == 256 else widen

    def forward(self, x: Tensor) -> Tensor:
        inside = F.relu(self.bn1(self.conv1(x)))
        inside = F.relu(self.bn2(self.conv2(inside)))
        return F.relu(self.bn3(self.conv3(inside)) + self.downsample(x))


class HRNetModule(nn.Module):
    """Residual blocks at each resolution, then exchange between the resolutions (Sun et al., CVPR 2019, Sec. 3).

    Args:
        widths (Sequence[int]): Channels at each resolution, finest first.
        blocks (int): Residual blocks at each resolution.

    Shape:
        (N, widths[i], h_i, w_i) for each resolution -> the same shapes
    """

    def __init__(self, widths: Sequence[int], blocks: int):
        super().__init__()
        self.branches = nn.ModuleList(make_res_layer(BasicBlock, width, width, blocks) for width in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(widths, source, target) for source in range(len(widths))) for target in range(len(widths)))

    @staticmethod
    def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
        """From one resolution to another."""
        if source > target:
            return nn.Sequential(
                nn.Conv2d(widths[source], widths[target], 1, bias=False), nn.BatchNorm2d(widths[target]),
                IntegerUpsample(2**(source - target), 'bilinear', align_corners=False))
        halvings = [conv(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
        last = [conv(widths[source], widths[target], stride=2, act=False)] if source < target else []
        return nn.Sequential(*halvings, *last)

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        x = [branch(feature) for branch, feature in zip(self.branches, x)]
        fused = []
        for target, row in enumerate(self.fuse_layers):
            parts = [path(feature) for path, feature in zip(row.children(), x)]
            # A size that was rounded up at a halving is now too large: mmsegmentation resizes once more.
            parts[target + 1:] = [F.interpolate(part, x[target].shape[-2:], mode='bilinear') for part in parts[target + 1:]]
            fused.append(F.relu(sum(parts)))
        return fused


class HRNetBackbone(nn.Module):
    """HRNet (Sun et al., CVPR 2019) as mmsegmentation has it, in inference: the same keys, the same features.

    Args:
        widths (Sequence[int]): Channels at strides 4, 8, 16 and 32.
        modules (Sequence[int]): HRNetModules of stages 2, 3 and 4, which work at the first two, three and four of these strides.
        blocks (int): Residual blocks at each resolution of a module, and of the first stage.

    Shape:
        (N, 3, H, W) -> (N, widths[i], h_i, w_i), sizes rounded up at each halving
    """

    def __init__(self, widths: Sequence[int], modules: Sequence[int], blocks: int):
        super().__init__()
        self.conv1, self.bn1, _ = conv(3, 64, stride=2)
        self.conv2, self.bn2, _ = conv(64, 64, stride=2)
        self.layer1 = nn.Sequential(Bottleneck(64), *(Bottleneck(256) for _ in range(blocks - 1)))
        self.transition1 = nn.ModuleList([conv(256, widths[0]), nn.Sequential(conv(256, widths[1], stride=2))])
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(*(HRNetModule(widths[:stage], blocks) for _ in range(number)))
            for stage, number in enumerate(modules, start=2))
        self.transition2, self.transition3 = (self._transition(widths, stage) for stage in (2, 3))

    @staticmethod
    def _transition(widths: Sequence[int], stage: int) -> nn.ModuleList:
        """The resolutions of a stage go on as they are; the coarsest of them also starts the next one."""
        new = nn.Sequential(conv(widths[stage - 1], widths[stage], stride=2))
        return nn.ModuleList([*(nn.Identity() for _ in range(stage)), new])

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer1(F.relu(self.bn2(self.conv2(x))))
        features = self.stage2([path(x) for path in self.transition1])
        features = self.stage3([path(feature) for path, feature in zip(self.transition2, [*features, features[-1]])])
        return self.stage4([path(feature) for path, feature in zip(self.transition3, [*features, features[-1]])])


class HRNetHead(nn.Module):
    """mmsegmentation's FCN head of HRNet, in inference: all features at the finest resolution, and 1x1 convolutions.

    Args:
        channels (int): Channels of all features together.
        num_classes (int): Classes.

    Shape:
        (N, C_i, h_i, w_i) -> class scores (N, num_classes, h_0, w_0)
    """

    def __init__(self, channels: int, num_classes: int):
        super().__init__()
        self.convs = nn.Sequential(ConvModule(channels, channels, 1, norm_cfg=dict(type='BN')))
        self.conv_seg = nn.Conv2d(channels, num_classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        finest, *others = features
        resized = [F.interpolate(feature, finest.shape[-2:], mode='bilinear') for feature in others]
        return self.conv_seg(self.convs(torch.cat([finest, *resized], dim=1)))


@MODELS.register_module()
class HRNetKnowledgeBank(KnowledgeBank):
    """HRNet with an FCN head as the knowledge bank, without mmsegmentation, whose import takes longer than a photo.

    It takes the weights of that network in mmsegmentation, and gives the same prior as the :class:`SemanticKnowledgeBank` of it.

    Args:
        model (dict): ``num_classes``, and the arguments of :class:`HRNetBackbone`, by default those of HRNet-W18-small.
        checkpoint (str, optional): Path, URL or ``mmskf://...`` of the weights. Defaults to None: random weights.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` is ImageNet's, which all of mmsegmentation's HRNets use.

    Raises:
        ValueError: As in :class:`KnowledgeBank`.
    """

    training_only = ('auxiliary_head.', )

    def __init__(self, model: dict, checkpoint: str | None = None, **options: Any):
        super().__init__(self._build(**model), 'skb.model', checkpoint, **options)

    @staticmethod
    def _build(num_classes: int, widths: Sequence[int] = (18, 36, 72, 144), modules: Sequence[int] = (1, 3, 2),
               blocks: int = 2) -> nn.ModuleDict:
        backbone, head = HRNetBackbone(widths, modules, blocks), HRNetHead(sum(widths), num_classes)
        return nn.ModuleDict(dict(backbone=backbone, decode_head=head))

    @property
    def segmentor(self) -> nn.Module:
        """The segmentation network: ``backbone`` and ``decode_head``."""
        return self.network

    @property
    def label(self) -> str:
        """The name of the network in error messages."""
        return f'HRNet of {self.name}'

    def segment(self, x: Tensor) -> tuple[Any, Tensor]:
        """The features of the backbone, and class scores."""
        features = self.extract(x)
        return features, self.network.get_submodule('decode_head')(features)

    def extract(self, x: Tensor) -> Any:
        """The features of the backbone; the head is not computed."""
        return self.network.get_submodule('backbone')(x)

import torch
import torch.nn.functional as F
from mmengine.model import trunc_normal_init
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior


class IlluminationEstimator(nn.Module):
    """Estimates an illumination feature, and lights the image up with the map predicted from it (Retinexformer, section 3.1).

    Shape:
        (N, 3, H, W) in [0, 1] -> lit-up image (N, 3, H, W), illumination feature (N, channels, H, W)
    """

    def __init__(self, channels: int):
        super().__init__()
        self.expand = nn.Conv2d(4, channels, 1)
        self.grouped = nn.Conv2d(channels, channels, 5, padding=2, groups=4)
        self.to_map = nn.Conv2d(channels, 3, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.grouped(self.expand(torch.cat([image, image.mean(dim=1, keepdim=True)], dim=1)))
        return image * self.to_map(feature) + image, feature


class IlluminationGuidedAttention(nn.Module):
    """Channel-wise self-attention whose values are modulated by the illumination feature (IG-MSA, section 3.2).

    Args:
        channels (int): Channels of both inputs.
        heads (int): Attention heads, which split the channels.

    Shape:
        feature (N, channels, H, W), illumination (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.project_out = nn.Linear(channels, channels)
        self.position = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False), nn.GELU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False))

    def forward(self, feature: Tensor, illumination: Tensor) -> Tensor:
        height, width = feature.shape[-2:]
        tokens = feature.flatten(2).mT
        value = self.value(tokens).mT
        modulated = value * illumination.flatten(2)
        query, key, modulated = (x.unflatten(1, (self.heads, -1))
                                 for x in (self.query(tokens).mT, self.key(tokens).mT, modulated))
        attention = F.normalize(key, dim=-1) @ F.normalize(query, dim=-1).mT * self.temperature
        attended = (attention.softmax(dim=-1) @ modulated).flatten(1, 2)
        attended = self.project_out(attended.mT).mT.unflatten(-1, (height, width))
        return attended + self.position(value.unflatten(-1, (height, width)))


class IlluminationGuidedBlock(nn.Module):
    """Illumination-guided attention and a convolutional feed-forward network, both residual (IGAB).

    Shape:
        feature (N, channels, H, W), illumination (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, heads: int, expansion: int = 4):
        super().__init__()
        hidden = expansion * channels
        self.attention = IlluminationGuidedAttention(channels, heads)
        self.norm = nn.LayerNorm(channels)
        self.ffn = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.GELU(),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False), nn.GELU(),
            nn.Conv2d(hidden, channels, 1, bias=False))

    def forward(self, feature: Tensor, illumination: Tensor) -> Tensor:
        feature = feature + self.attention(feature, illumination)
        normed = self.norm(feature.movedim(1, -1)).movedim(-1, 1)
        return feature + self.ffn(normed)


class Level(nn.ModuleList):
    """The blocks at one resolution: feature, illumination -> feature."""

    def __init__(self, channels: int, heads: int, blocks: int):
        super().__init__(IlluminationGuidedBlock(channels, heads) for _ in range(blocks))

    def forward(self, feature: Tensor, illumination: Tensor) -> Tensor:
        for block in self:
            feature = block(feature, illumination)
        return feature


@MODELS.register_module()
class RetinexformerNet(EnhancementNet):
    """Retinexformer (Cai et al., ICCV 2023): lights an image up, then restores it with an illumination-guided transformer.

    With SKF the SE modules follow the bottleneck and each level of the decoder.

    Args:
        channels (int): Width at full resolution, a multiple of 4; it doubles at each level. Defaults to 40.
        blocks (Sequence[int]): Blocks of each level, fine to coarse; the last is the bottleneck. Defaults to (1, 2, 2).
        se (dict, optional): SE modules, coarse to fine: at 1/4, 1/2 and 1/1 for three levels (see :class:`SEModuleList`).
            Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of ``size_divisor`` -> (N, 3, H, W), unclamped
    """

    def __init__(self,
                 channels: int = 40,
                 blocks: tuple[int, ...] = (1, 2, 2),
                 se: dict | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        *sizes, bottom = [(channels * 2**i, 2**i, number) for i, number in enumerate(blocks)]
        self.size_divisor = 2**len(sizes)
        widths = [width for width, *_ in sizes]

        def down(width: int) -> nn.Conv2d:
            return nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)

        self.estimator = IlluminationEstimator(channels)
        self.shallow = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(Level(*size) for size in sizes)
        self.downs = nn.ModuleList(map(down, widths))
        self.illumination_downs = nn.ModuleList(map(down, widths))
        self.bottleneck = Level(*bottom)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * width, width, 2, stride=2) for width in reversed(widths))
        self.fusions = nn.ModuleList(nn.Conv2d(2 * width, width, 1, bias=False) for width in reversed(widths))
        self.decoder = nn.ModuleList(Level(*size) for size in reversed(sizes))
        self.se = SEModuleList(se, channels=(bottom[0], *reversed(widths)))
        self.to_rgb = nn.Conv2d(channels, 3, 3, padding=1, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_init(module, std=0.02)

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor: The enhanced images (N, 3, H, W), unclamped.
        """
        lit, illumination = self.estimator(inputs)
        x = self.shallow(lit)
        skips: list[tuple[Tensor, Tensor]] = []
        for level, down, illumination_down in zip(self.encoder, self.downs, self.illumination_downs):
            x = level(x, illumination)
            skips.append((x, illumination))
            x, illumination = down(x), illumination_down(illumination)
        x = self.se(0, self.bottleneck(x, illumination), prior)
        for i, (up, fusion, level) in enumerate(zip(self.ups, self.fusions, self.decoder), start=1):
            skip, illumination = skips.pop()
            x = self.se(i, level(fusion(torch.cat([up(x), skip], dim=1)), illumination), prior)
        return lit + self.to_rgb(x)

import torch
from torch import Tensor, nn

from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

from ..kind.exposure import exposure_ratio
from ..kind.kind_base import KinDBase
from ..kind.subnets import conv


class MSIA(nn.Module):
    """Multi-scale illumination attention: weights a feature map by the illumination and fuses it across three scales.

    Shape:
        feature (N, channels, H, W), illumination (N, 1, H, W), H and W multiples of 4 -> (N, channels, H, W)
    """

    def __init__(self, channels: int):
        super().__init__()

        def block(kernel: int) -> list[nn.Module]:  # ReLU before the norm too, since TF-Slim's convolution ends with one
            return [nn.Conv2d(channels, channels, kernel, padding=kernel // 2), nn.ReLU(),
                    nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01), nn.ReLU()]

        def up() -> list[nn.Module]:
            return [nn.ConvTranspose2d(channels, channels, 2, 2), nn.ReLU()]

        self.attention = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.scale1 = nn.Sequential(*block(3))
        self.scale2 = nn.Sequential(nn.MaxPool2d(2), *block(3), *up())
        self.scale4 = nn.Sequential(nn.MaxPool2d(4), *block(1), *up(), *up())
        self.fusion = nn.Sequential(nn.Conv2d(4 * channels, channels, 1), nn.ReLU())

    def forward(self, feature: Tensor, illumination: Tensor) -> Tensor:
        x = feature * self.attention(illumination).sigmoid()
        return self.fusion(torch.cat([x, self.scale1(x), self.scale2(x), self.scale4(x)], dim=1))


class MSIARestorationNet(nn.Module):
    """Removes the degradations from a reflectance, at full resolution; the illumination enters through the MSIA modules.

    Args:
        se (dict, optional): SE modules on the two features before the last MSIA module and on the one after it, all at 1/1
            (see :class:`SEModuleList`). Defaults to None.

    Shape:
        reflectance (N, 3, H, W), illumination (N, 1, H, W), H and W multiples of 4 -> (N, 3, H, W) in (0, 1)
    """
    widths = ((3, 32, 64), (64, 128, 256), (256, 512, 256), (256, 128, 64))

    def __init__(self, se: dict | None = None):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Sequential(conv(first, middle, 'tf'), conv(middle, last, 'tf')) for first, middle, last in self.widths)
        self.msia = nn.ModuleList(MSIA(last) for *_, last in self.widths)
        self.se = SEModuleList(se, channels=(128, 64, 64))
        self.head = nn.Sequential(conv(64, 32, 'tf'), nn.Conv2d(32, 3, 3, padding=1))

    def forward(self, reflectance: Tensor, illumination: Tensor, prior: SemanticPrior | None = None) -> Tensor:
        x = reflectance
        for convs, msia in zip(self.convs[:-1], self.msia[:-1]):
            x = msia(convs(x), illumination)
        first, second = self.convs[-1].children()
        x = self.se(0, first(x), prior)
        x = self.se(1, second(x), prior)
        x = self.se(2, self.msia[-1](x, illumination), prior)
        return self.head(x).sigmoid()


@MODELS.register_module(name=['KinDPlusPlusNet', 'KinDPlusPlus'])
class KinDPlusPlusNet(KinDBase):
    """KinD++, "Beyond Brightening Low-light Images" (Zhang et al., IJCV 2021): KinD with another restoration net.

    With SKF the SE modules are in the last third of the restoration net, which is trained last.

    Args:
        se (dict, optional): SE modules, all at 1/1 (see :class:`SEModuleList`). Defaults to None.
        exposure (str | float): 'auto', 'gt' or a ratio, see :class:`KinDBase`. Defaults to 'auto'.
        fusion (str): 'product', see :class:`KinDBase`; 'authors': their fusion for real-world photos, whose illumination they do
            not adjust; 'authors_adjusted': the same with the adjusted illumination. Defaults to 'product'.
        denoise (float, optional): As in :class:`RetinexGenerator`. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a choice is unknown, or ``exposure`` is set where it has no effect.
    """
    size_divisor = 4
    fusions = ('product', 'authors', 'authors_adjusted')

    def __init__(self,
                 se: dict | None = None,
                 exposure: str | float = 'auto',
                 fusion: str = 'product',
                 denoise: float | None = None,
                 init_cfg: dict | None = None):
        if fusion == 'authors' and exposure != 'auto':
            raise ValueError(f"exposure={exposure!r} has no effect with fusion='authors', which leaves the illumination as it "
                             "is: choose fusion='product' or 'authors_adjusted', or leave exposure out")
        super().__init__(MSIARestorationNet(se), 'tf', exposure, fusion, denoise, init_cfg)

    def target(self, reflectance: Tensor) -> Tensor:
        return (0.99 * reflectance)**1.2

    def ratio_to(self, gt_reflectance: Tensor, gt_illumination: Tensor, illumination: Tensor, restored: Tensor) -> Tensor:
        """Like KinD's, but larger where the restored reflectance is too dark as well: (N, )."""
        ratio = exposure_ratio(gt_illumination, illumination)
        missing = exposure_ratio(gt_reflectance, restored)
        return torch.where(missing < 1.1, ratio, ratio + missing)

    def fuse(self, image: Tensor, reflectance: Tensor, illumination: Tensor, restored: Tensor, adjusted: Tensor) -> Tensor:
        if self.fusion == 'authors':
            adjusted = torch.ones_like(adjusted)
        return super().fuse(image, reflectance, illumination, restored, adjusted)

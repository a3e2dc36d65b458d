import torch
from torch import Tensor, nn

from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

from .kind_base import KinDBase
from .subnets import UpConcat, conv, downsample


class RestorationNet(nn.Module):
    """A five-level U-Net that removes the degradations from a reflectance.

    Args:
        form (str): 'tf' or 'port'.
        se (dict, optional): SE modules on the decoder's features at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`).
            Defaults to None.

    Shape:
        reflectance (N, 3, H, W), illumination (N, 1, H, W) -> (N, 3, H, W) in (0, 1)
    """
    widths = (32, 64, 128, 256, 512)

    def __init__(self, form: str = 'tf', se: dict | None = None):
        super().__init__()

        def level(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(conv(inputs, outputs, form), conv(outputs, outputs, form))

        widths = self.widths
        self.encoder = nn.ModuleList(level(inputs, outputs) for inputs, outputs in zip((4, *widths), widths))
        deep, shallow = widths[:0:-1], widths[-2::-1]
        self.ups = nn.ModuleList(UpConcat(inputs, outputs, form) for inputs, outputs in zip(deep, shallow))
        self.decoder = nn.ModuleList(level(2 * outputs, outputs) for outputs in shallow)
        self.se = SEModuleList(se, channels=shallow[1:])
        kernel = 1 if form == 'port' else 3
        self.head = nn.Conv2d(widths[0], 3, kernel, padding=kernel // 2)

    def forward(self, reflectance: Tensor, illumination: Tensor, prior: SemanticPrior | None = None) -> Tensor:
        x = self.encoder[0](torch.cat([reflectance, illumination], dim=1))
        skips = []
        for level in self.encoder[1:]:
            skips.append(x)
            x = level(downsample(x))
        for i, (up, level, skip) in enumerate(zip(self.ups, self.decoder, reversed(skips))):
            x = level(up(x, skip))
            if i > 0:  # the coarsest level, 1/8, has no SE module
                x = self.se(i - 1, x, prior)
        return self.head(x).sigmoid()


@MODELS.register_module(name=['KinDNet', 'KinD'])
class KinDNet(KinDBase):
    """KinD, "Kindling the Darkness" (Zhang et al., ACM MM 2019).

    With SKF the SE modules are in the decoder of the restoration net, which is trained last.

    Args:
        form (str): 'tf': the authors' code, for images of any size; 'port': fenghansen's PyTorch code, for multiples of 16.
            Defaults to 'tf'.
        se (dict, optional): SE modules at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`). Defaults to None.
        exposure (str | float): 'auto', 'gt' or a ratio, see :class:`KinDBase`. Defaults to 'auto'.
        fusion (str): 'product' or 'authors', see :class:`KinDBase`. Defaults to 'product'.
        denoise (float, optional): As in :class:`RetinexGenerator`. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a choice is unknown.
    """

    def __init__(self,
                 form: str = 'tf',
                 se: dict | None = None,
                 exposure: str | float = 'auto',
                 fusion: str = 'product',
                 denoise: float | None = None,
                 init_cfg: dict | None = None):
        if form not in ('tf', 'port'):
            raise ValueError(f"form={form!r}: choose 'tf' or 'port'")
        super().__init__(RestorationNet(form, se), form, exposure, fusion, denoise, init_cfg)
        self.size_divisor = 16 if form == 'port' else 1

    def target(self, reflectance: Tensor) -> Tensor:
        return reflectance**1.2

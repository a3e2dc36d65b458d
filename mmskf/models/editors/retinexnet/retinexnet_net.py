from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.resize import resize_nearest
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior, Relighting, SemanticPrior

from ..retinex_generator import RetinexGenerator, start_as_tensorflow

PaddingMode = Literal['zeros', 'reflect', 'replicate', 'circular']


class HalvingConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2 with TensorFlow's SAME padding, which pads an even side only at its end.

    Unlike PyTorch's; otherwise the grid is off by one pixel.

    Shape:
        (N, channels, H, W) -> (N, channels, ceil(H / 2), ceil(W / 2))
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (x.shape[-1] % 2, 1, x.shape[-2] % 2, 1)))


class DecomNet(nn.Module):
    """Decomposes an image into reflectance and illumination.

    Args:
        padding_mode (str): Of the convolutions.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W), (N, 1, H, W), both in (0, 1)
    """

    def __init__(self, padding_mode: PaddingMode = 'zeros'):
        super().__init__()
        self.shallow = nn.Conv2d(4, 64, 9, padding=4, padding_mode=padding_mode)
        self.convs = nn.ModuleList(nn.Conv2d(64, 64, 3, padding=1, padding_mode=padding_mode) for _ in range(5))
        self.head = nn.Conv2d(64, 4, 3, padding=1, padding_mode=padding_mode)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.shallow(torch.cat([image.amax(dim=1, keepdim=True), image], dim=1))
        for conv in self.convs:
            x = F.relu(conv(x))
        reflectance, illumination = self.head(x).sigmoid().split([3, 1], dim=1)
        return reflectance, illumination


class RelightNet(nn.Module):
    """Predicts the illumination of a well-lit image of the same scene ("Enhance-Net" in the paper).

    Args:
        form (str): As in :class:`RetinexNet`.
        padding_mode (str): Of the convolutions.
        se (dict, optional): SE modules on the decoder's features at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`).
            Defaults to None.

    Shape:
        reflectance (N, 3, H, W), illumination (N, 1, H, W) -> (N, 1, H, W), unbounded
    """

    def __init__(self, form: str, padding_mode: PaddingMode = 'zeros', se: dict | None = None):
        super().__init__()
        self.concat = form == 'port'

        def conv(inputs: int, outputs: int = 64, kernel: int = 3, padding: int = 1) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, kernel, padding=padding, padding_mode=padding_mode)

        def down() -> nn.Conv2d:
            if form == 'tf':
                return HalvingConv2d(64)
            return nn.Conv2d(64, 64, 3, stride=2, padding=1, padding_mode=padding_mode)

        # The port pads the input of the 1x1 convolution but not that of the last one.
        padding = 1 if form == 'port' else 0
        self.shallow = conv(4)
        self.downs = nn.ModuleList(down() for _ in range(3))
        self.ups = nn.ModuleList(conv(128 if self.concat else 64) for _ in range(3))
        self.se = SEModuleList(se, channels=(64, 64, 64))
        self.fusion = conv(192, kernel=1, padding=padding)
        self.head = conv(64, 1, padding=1 - padding)

    def forward(self, reflectance: Tensor, illumination: Tensor, prior: SemanticPrior | None = None) -> Tensor:
        x = self.shallow(torch.cat([reflectance, illumination], dim=1))
        skips = []
        for down in self.downs:
            skips.append(x)
            x = F.relu(down(x))
        features = []
        for i, (up, skip) in enumerate(zip(self.ups, reversed(skips))):
            x = resize_nearest(x, skip.shape[-2:])
            x = F.relu(up(torch.cat([x, skip], dim=1))) if self.concat else F.relu(up(x)) + skip
            x = self.se(i, x, prior)
            features.append(x)
        size = reflectance.shape[-2:]
        return self.head(self.fusion(torch.cat([resize_nearest(feature, size) for feature in features], dim=1)))


@MODELS.register_module()
class RetinexNet(RetinexGenerator):
    """RetinexNet (Wei et al., BMVC 2018): decomposes an image and relights it, S = R * I_delta.

    With SKF the SE modules are in the decoder of the relight net, which is trained last.

    Args:
        form (str): 'tf' adds the skip connections, as in the authors' code; 'port' concatenates them, as in the PyTorch ports.
            Defaults to 'tf'.
        padding_mode (str): Padding of the port's convolutions. Its code says 'replicate', but PyTorch 1.1, which it was written
            for, ignored that and padded with 'zeros'. Defaults to 'zeros'.
        se (dict, optional): SE modules at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`). Defaults to None.
        denoise (float, optional): As in :class:`RetinexGenerator`. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a choice is unknown.
    """
    stages = ('decom', 'relight')

    def __init__(self,
                 form: str = 'tf',
                 padding_mode: PaddingMode = 'zeros',
                 se: dict | None = None,
                 denoise: float | None = None,
                 init_cfg: dict | None = None):
        super().__init__(denoise, init_cfg)
        if form not in ('tf', 'port'):
            raise ValueError(f"form={form!r}: choose 'tf' or 'port'")
        if form == 'tf' and padding_mode != 'zeros':
            raise ValueError(f"padding_mode={padding_mode!r} needs form='port': the TensorFlow form pads with zeros")
        self.decom = DecomNet(padding_mode)
        self.relight = RelightNet(form, padding_mode, se)
        if form == 'tf':
            start_as_tensorflow(self)

    def enhance(self, inputs: Tensor, prior: Prior, gt: Tensor | None) -> Relighting:
        """Testing; the ground truth is not used."""
        reflectance, illumination = self.decom(inputs)
        _, reflectance, illumination = self.relit(reflectance, illumination, prior)
        return Relighting(self.denoised(reflectance) * illumination, reflectance, illumination)

    def train_relight(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Relighting:
        """The second stage, guided by semantics."""
        with torch.no_grad():
            reflectance, illumination = self.decom(inputs)
        return self.relit(reflectance, illumination, prior)

    def relit(self, reflectance: Tensor, illumination: Tensor, prior: Prior) -> Relighting:
        """R and I of a low-light image -> the relit image."""
        illumination = self.relight(reflectance, illumination, self.ask(prior, reflectance))
        return Relighting(reflectance * illumination, reflectance, illumination)

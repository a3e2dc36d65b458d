import torch
import torch.nn.functional as F
from mmengine.model import normal_init
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior

LUMA = (0.299, 0.587, 0.114)
WIDEST = 2200  # pixels: wider images are enhanced at half the size, as released


def unit(inputs: int, outputs: int, norm: bool = True) -> nn.Sequential:
    """3x3 convolution, LeakyReLU and then, unless it is the last, BatchNorm."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(*layers)


def pad_around(image: Tensor, divisor: int) -> tuple[Tensor, tuple[slice, slice]]:
    """Pads (N, C, H, W) on all sides to multiples of ``divisor``, by reflection if the image is large enough.

    Returns:
        tuple: The padded image, and the rows and columns of the image in it.
    """
    inside = []
    for axis in (-2, -1):
        size = image.shape[axis]
        missing = -size % divisor
        first, last = missing // 2, missing - missing // 2
        padding = (first, last, 0, 0) if axis == -1 else (0, 0, first, last)
        image = F.pad(image, padding, 'reflect' if last < size else 'replicate')
        inside.append(slice(first, first + size))
    return image, (inside[0], inside[1])


@MODELS.register_module()
class EnlightenGANNet(EnhancementNet):
    """The generator of EnlightenGAN (Jiang et al., TIP 2021): a U-Net with self-regularized attention, which is 1 - luminance.

    The attention map is an additional input, weighs the features that the decoder gets from the encoder, and weighs the
    predicted residual. With SKF the SE modules follow the last three levels of the decoder.

    Args:
        channels (int): Width at full resolution; it doubles at each level. Defaults to 32.
        align_corners (bool): How features are upsampled. PyTorch 0.3.1, with which the released weights were trained, aligned
            corners; from 0.4 on the same call does not. Defaults to True.
        se (dict, optional): SE modules at 1/4, 1/2 and 1/1 (see :class:`SEModuleList`). Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], any size -> (N, 3, H, W), unclamped
    """
    context = 96  # The largest distance of any effect is about 130 pixels.

    def __init__(self,
                 channels: int = 32,
                 align_corners: bool = True,
                 se: dict | None = None,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.align_corners = align_corners
        widths = [channels * 2**i for i in range(5)]
        self.encoder = nn.ModuleList(
            nn.Sequential(unit(before, width), unit(width, width)) for before, width in zip([4, *widths], widths))
        narrowing = widths[-2::-1]
        self.ups = nn.ModuleList(nn.Conv2d(2 * width, width, 3, padding=1) for width in narrowing)
        self.decoder = nn.ModuleList(
            nn.Sequential(unit(2 * width, width), unit(width, width, norm=width != channels)) for width in narrowing)
        self.to_residual = nn.Conv2d(channels, 3, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.BatchNorm2d):
                normal_init(module, mean=1, std=0.02)
        self.se = SEModuleList(se, channels=narrowing[1:])

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor: The enhanced images (N, 3, H, W), unclamped.
        """
        attention = 1 - torch.einsum('nchw,c->nhw', inputs, inputs.new_tensor(LUMA)).unsqueeze(1)
        if inputs.shape[-1] <= WIDEST:
            return inputs + self.residual(inputs, attention, prior)
        image, attention = F.avg_pool2d(inputs, 2), F.avg_pool2d(attention, 2)
        image = image + self.residual(image, attention, prior)
        return F.interpolate(image, inputs.shape[-2:], mode='bilinear', align_corners=self.align_corners)

    def residual(self, image: Tensor, attention: Tensor, prior: Prior) -> Tensor:
        """What to add to an image (N, 3, H, W) in [0, 1], given its attention map (N, 1, H, W)."""
        padded, (rows, columns) = pad_around(torch.cat([image, attention], dim=1), 2**len(self.ups))
        attention = padded[:, 3:]
        x = torch.cat([2 * padded[:, :3] - 1, attention], dim=1)
        skips: list[tuple[Tensor, Tensor]] = []
        for level in self.encoder[:-1]:
            x = level(x)
            skips.append((x, attention))
            x, attention = F.max_pool2d(x, 2), F.max_pool2d(attention, 2)
        first, second = self.encoder[-1].children()
        x = second(first(x) * attention)
        for i, (up, level) in enumerate(zip(self.ups, self.decoder), start=-1):
            skip, attention = skips.pop()
            x = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=self.align_corners)
            x = level(torch.cat([up(x), skip * attention], dim=1))
            x = self.se(i, x, prior) if i >= 0 else x
        # Half of the residual, since the authors' images are in [-1, 1].
        return (self.to_residual(x) * attention / 2)[..., rows, columns]

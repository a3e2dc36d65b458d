from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskf.registry import MODELS


class PatchDiscriminator(nn.Module):
    """A PatchGAN without normalization and without a final sigmoid, as in EnlightenGAN (Jiang et al., TIP 2021).

    4x4 convolutions with a padding of 2 and LeakyReLU: ``downs`` of them halve the image, two keep its size. Layers have the
    names of the released code.

    Args:
        downs (int): Number of convolutions with stride 2.

    Shape:
        (N, 3, H, W) -> scores (N, 1, h, w), one per patch; (N, 1, 5, 5) for 32x32 and four convolutions with stride 2
    """

    def __init__(self, downs: int):
        super().__init__()
        widths = [3, *(min(64 * 2**i, 512) for i in range(downs)), 512]
        layers: list[nn.Module] = []
        for i, (before, width) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, width, 4, stride=2 if i < downs else 1, padding=2), nn.LeakyReLU(0.2, inplace=True)]
        self.model = nn.Sequential(*layers, nn.Conv2d(512, 1, 4, padding=2))
        for layer in self.model:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)


@MODELS.register_module()
class GlobalLocalDiscriminator(BaseModule):
    """The two discriminators of EnlightenGAN (section III-A): one for whole images, one for small patches of them.

    Args:
        global_downs (int): Convolutions with stride 2 of the global discriminator. Defaults to 5.
        local_downs (int): The same for the local one. Defaults to 4.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        images (N, 3, H, W), patches (M, 3, h, w), both in [0, 1] -> their scores, (N, 1, ...) and (M, 1, ...)
    """

    def __init__(self, global_downs: int = 5, local_downs: int = 4, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.of_images = PatchDiscriminator(global_downs)
        self.of_patches = PatchDiscriminator(local_downs)

    def forward(self, images: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Scores images and patches: higher where they look real."""
        return self.of_images(2 * images - 1), self.of_patches(2 * patches - 1)

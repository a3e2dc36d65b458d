import torch
import torch.nn.functional as F
from mmengine.model import normal_init
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.registry import MODELS
from mmskf.structures import CurveOutputs, Prior


def apply_curves(image: Tensor, curves: Tensor) -> Tensor:
    """Applies light-enhancement curves one after the other: x <- x + r (x^2 - x) (Zero-DCE, Eq. 3).

    Args:
        image (Tensor): (N, 3, H, W) in [0, 1].
        curves (Tensor): The parameters r of each curve, pixel and channel, in [-1, 1]: (N, 3 * curves, H, W).

    Returns:
        Tensor: (N, 3, H, W).
    """
    for parameters in curves.split(3, dim=1):
        image = image + parameters * (image**2 - image)
    return image


@MODELS.register_module()
class ZeroDCENet(EnhancementNet):
    """Zero-DCE (Guo et al., CVPR 2020): estimates the curves that brighten each pixel; trained without ground truth.

    It has no decoder that SE modules could refine. SKF guides it by its losses alone.

    Args:
        channels (int): Width of the features. Defaults to 32.
        curves (int): Number of curves that are applied one after the other. Defaults to 8.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], any size -> :class:`CurveOutputs`
    """
    context = 7  # seven convolutions of 3x3

    def __init__(self, channels: int = 32, curves: int = 8, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        widths = [(3, channels), *3 * [(channels, channels)], *2 * [(2 * channels, channels)], (2 * channels, 3 * curves)]
        self.convs = nn.ModuleList(nn.Conv2d(*width, 3, padding=1) for width in widths)
        for conv in self.convs:
            normal_init(conv, std=0.02)

    def forward(self, inputs: Tensor, prior: Prior = None) -> CurveOutputs:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): Not used.

        Returns:
            CurveOutputs: The enhanced images, and the curves.
        """
        features = [inputs]
        for conv in self.convs[:4]:
            features.append(F.relu(conv(features[-1])))
        _, *skips, x = features
        for conv in self.convs[4:6]:
            x = F.relu(conv(torch.cat([skips.pop(), x], dim=1)))
        curves = self.convs[6](torch.cat([skips.pop(), x], dim=1)).tanh()
        return CurveOutputs(apply_curves(inputs, curves), curves, inputs)

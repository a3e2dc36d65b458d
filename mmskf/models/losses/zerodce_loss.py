from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import CurveOutputs


def spatial_inconsistency(image: Tensor, inputs: Tensor) -> Tensor:
    """How much the contrasts of 4x4 regions with their four neighbors differ between two images (Zero-DCE, Eq. 4).

    Regions beyond the border are black in both images, as released.

    Shape:
        (N, 3, H, W), (N, 3, H, W) -> (N, 1, H // 4, W // 4), the squared differences, summed over the neighbors
    """
    difference = F.avg_pool2d((image - inputs).mean(dim=1, keepdim=True), 4)
    padded = F.pad(difference, (1, 1, 1, 1))
    neighbors = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:], padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    return reduce(torch.add, ((difference - neighbor)**2 for neighbor in neighbors))


def exposure_error(image: Tensor, level: float = 0.6) -> Tensor:
    """Squared distance of the brightness of 16x16 regions from a level (Zero-DCE, Eq. 5; as released: squared).

    Shape:
        (N, 3, H, W) -> (N, 1, H // 16, W // 16)
    """
    return (F.avg_pool2d(image.mean(dim=1, keepdim=True), 16) - level)**2


def color_cast(image: Tensor) -> Tensor:
    """How much the means of red, green and blue differ (Zero-DCE, Eq. 6; as released: the root of the sum of fourth powers).

    As a norm it has a gradient everywhere, which is 0 where the means are equal.

    Shape:
        (N, 3, H, W) -> (N,)
    """
    red, green, blue = image.mean(dim=(2, 3)).unbind(dim=1)
    return torch.linalg.vector_norm(torch.stack([red - green, red - blue, green - blue])**2, dim=0)


def curve_roughness(curves: Tensor) -> Tensor:
    """Squared differences of the curves between neighboring pixels (Zero-DCE, Eq. 7; as released: summed over the curves).

    Shape:
        (N, C, H, W) -> ()
    """
    differences = curves.diff(dim=-1), curves.diff(dim=-2)
    return 2 * reduce(torch.add, ((difference**2).mean(dim=(0, 2, 3)).sum() for difference in differences))


@MODELS.register_module()
class ZeroDCELoss(nn.Module):
    """The loss of Zero-DCE (Guo et al., CVPR 2020, section 3.3), which uses no ground truth.

    Spatial consistency, exposure control, color constancy and illumination smoothness. Default weights are those of the released
    code, all but the first ten times those of the paper.

    Args:
        spatial_weight (float): Weight of the mean :func:`spatial_inconsistency`. Defaults to 1.
        exposure_weight (float): Weight of the mean :func:`exposure_error`. Defaults to 10.
        color_weight (float): Weight of the mean :func:`color_cast`. Defaults to 5.
        smooth_weight (float): Weight of the :func:`curve_roughness`. Defaults to 200.
        level (float): Brightness that regions should have, in [0, 1]. Defaults to 0.6.

    Shape:
        :class:`CurveOutputs`, images of 16x16 or more -> dict of scalars: 'loss_recon', the sum, and the terms, weighted
    """
    needs_gt = False

    def __init__(self,
                 spatial_weight: float = 1.,
                 exposure_weight: float = 10.,
                 color_weight: float = 5.,
                 smooth_weight: float = 200.,
                 level: float = 0.6):
        super().__init__()
        self.spatial_weight = spatial_weight
        self.exposure_weight = exposure_weight
        self.color_weight = color_weight
        self.smooth_weight = smooth_weight
        self.level = level

    def forward(self, outputs: CurveOutputs, gt: Tensor | None = None) -> dict[str, Tensor]:
        # Small differences between adjacent pixels, which half precision would lose.
        with torch.autocast(outputs.image.device.type, enabled=False):
            image, curves, inputs = (tensor.to(torch.promote_types(tensor.dtype, torch.float32)) for tensor in outputs)
            terms = dict(
                spatial=self.spatial_weight * spatial_inconsistency(image, inputs).mean(),
                exposure=self.exposure_weight * exposure_error(image, self.level).mean(),
                color=self.color_weight * color_cast(image).mean(),
                smooth=self.smooth_weight * curve_roughness(curves))
        return dict(loss_recon=reduce(torch.add, terms.values()), **terms)

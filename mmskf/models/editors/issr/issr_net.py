import torch
from torch import Tensor

from mmskf.models.whole_image import whole_image
from mmskf.registry import MODELS
from mmskf.structures import Exposure, Prior, Restoration, Segmentation

from ..kind.exposure import EPS, exposure_ratio, mean
from ..kind.subnets import DecompositionNet
from ..retinex_generator import RetinexGenerator, start_as_tensorflow
from .subnets import DenoiseNet, RelightNet, SegmentationNet


@MODELS.register_module()
class ISSRNet(RetinexGenerator):
    """ISSR (Fan et al., ACM MM 2020): decompose, segment the reflectance, denoise it with the segments as a guide, relight.

    It has semantics of its own, from a segmentation net that is trained with it, and no SE modules. Images are already stretched
    to the full range (:class:`StretchRange`): the inputs, and the ground truth where it is used.

    Args:
        classes (int): Classes of the segmentation. Defaults to 3.
        exposure (str | float): The ratio by which the illumination is brightened in testing. 'auto' computes it from the image,
            1.2 / its mean; a number is the ratio for all images (the authors' alternative is 5); 'gt' takes it from the ground
            truth, as the authors do. Defaults to 'auto'.
        denoise (float, optional): As in :class:`RetinexGenerator`, of the denoised reflectance. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If ``exposure`` is unknown.
    """
    stages = ('decom', 'segment', 'restore', 'relight')
    early_image = False
    max_pixels = 400_000

    def __init__(self,
                 classes: int = 3,
                 exposure: str | float = 'auto',
                 denoise: float | None = None,
                 init_cfg: dict | None = None):
        super().__init__(denoise, init_cfg)
        if exposure not in ('auto', 'gt') and not (isinstance(exposure, (int, float)) and exposure > 0):
            raise ValueError(f"exposure={exposure!r}: choose 'auto', 'gt', or a ratio above 0 such as 5.0")
        self.exposure = exposure
        self.test_uses_gt = exposure == 'gt'
        self.decom = DecompositionNet()
        self.segment = SegmentationNet(classes)
        self.restore = DenoiseNet(classes)
        self.relight = RelightNet()
        # Not the denoising: its many residual blocks would start with values around 10, and its training with large leaps.
        for net in (self.decom, self.segment, self.relight):
            start_as_tensorflow(net)

    def enhance(self, inputs: Tensor, prior: Prior, gt: Tensor | None) -> Exposure:
        """Testing; the ground truth is used only with ``exposure='gt'``."""
        reflectance, illumination = self.decom(inputs)
        restored = self.denoised(self.restored(reflectance, illumination))
        return self.relit(inputs, restored, illumination, whole_image(self.ratio(inputs, gt)))

    def restored(self, reflectance: Tensor, illumination: Tensor) -> Tensor:
        """R and I of a low-light image -> R without its degradations (N, 3, H, W)."""
        return self.restore(reflectance, illumination, self.segment(reflectance).softmax(dim=1))

    def relit(self, inputs: Tensor, restored: Tensor, illumination: Tensor, ratio: Tensor) -> Exposure:
        """The enhanced image, from the restored reflectance and the illumination."""
        image = restored * self.relight(illumination, restored, ratio)
        return Exposure(image, inputs * ratio.view(-1, 1, 1, 1))

    def ratio(self, inputs: Tensor, gt: Tensor | None) -> Tensor:
        """The ratio by which each image (N, 3, H, W) is brightened: (N, )."""
        if self.exposure == 'auto':
            return 1.2 / mean(inputs).clamp(min=EPS)
        if not isinstance(self.exposure, str):
            return inputs.new_full((len(inputs), ), self.exposure)
        if gt is None:
            raise ValueError("exposure='gt' takes the brightness from the ground truth, but there is none: set "
                             "generator.exposure to 'auto' or to a ratio such as 5.0")
        return self.ratio_to(gt, inputs)

    @staticmethod
    def ratio_to(gt: Tensor, inputs: Tensor) -> Tensor:
        """The ratio between two images (N, 3, H, W), as in training: (N, )."""
        return 1 / exposure_ratio(inputs, gt).clamp(min=EPS) + EPS

    def train_segment(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Segmentation:
        """The second stage: the reflectance of the low-light image, and the normal-light image itself, are segmented."""
        with torch.no_grad():
            reflectance, _ = self.decom(inputs)
        return Segmentation(self.segment(reflectance), self.segment(gt))

    def train_restore(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Restoration:
        """The third stage, which also trains the segmentation further."""
        with torch.no_grad():
            reflectance, illumination = self.decom(inputs)
            target, _ = self.decom(gt)
        restored = self.restored(reflectance, illumination)
        return Restoration(restored * illumination, restored, target)

    def train_relight(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Exposure:
        """The last stage; the enhanced image has the brightness of the ground truth."""
        with torch.no_grad():
            reflectance, illumination = self.decom(inputs)
            restored = self.restored(reflectance, illumination)
        return self.relit(inputs, restored, illumination, self.ratio_to(gt, inputs))

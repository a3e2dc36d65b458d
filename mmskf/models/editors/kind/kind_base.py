from typing import Optional, Union

import torch
from torch import Tensor, nn

from mmskf.models.whole_image import whole_image
from mmskf.structures import Adjustment, Prior, Restoration

from ..retinex_generator import RetinexGenerator, start_as_tensorflow
from .exposure import EPS, auto_ratio, exposure_ratio, fuse_own_photo
from .subnets import AdjustmentNet, DecompositionNet


class KinDBase(RetinexGenerator):
    """What KinD and KinD++ have in common: decompose, restore the reflectance, adjust the illumination, put together.

    A subclass says in ``target`` what the restored reflectance should be. Images are stretched to the full range
    (:class:`StretchRange`) before they come here: the inputs, and the ground truth where it is used.

    Args:
        restore (nn.Module): The restoration net: R, I, prior -> R.
        form (str): Form of the other subnets, 'tf' or 'port'.
        exposure (str | float): By which ratio the illumination is brightened in testing. 'auto' finds it from the image,
            (0.6 + 0.5 mean I) / mean I; a number is the ratio of all images (the authors take 5 for photos of one's own);
            'gt' takes it from the ground truth, as the authors do for their scores on LOL.
        fusion (str): One of ``fusions``. 'product': R * I; 'authors': what they do with photos of one's own.
        denoise (float, optional): As in :class:`RetinexGenerator`, of the restored reflectance.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a choice does not exist.
    """
    stages = ('decom', 'adjust', 'restore')
    fusions = ('product', 'authors')

    def __init__(self,
                 restore: nn.Module,
                 form: str,
                 exposure: Union[str, float],
                 fusion: str,
                 denoise: Optional[float],
                 init_cfg: Optional[dict]):
        super().__init__(denoise, init_cfg)
        if exposure not in ('auto', 'gt') and not (isinstance(exposure, (int, float)) and exposure > 0):
            raise ValueError(f"exposure={exposure!r}: choose 'auto', 'gt', or a ratio above 0 such as 5.0")
        if fusion not in self.fusions:
            raise ValueError(f'fusion={fusion!r}: choose from {self.fusions}')
        self.exposure, self.fusion = exposure, fusion
        self.test_uses_gt = exposure == 'gt'
        self.decom = DecompositionNet(form)
        self.adjust = AdjustmentNet(form)
        self.restore = restore
        if form == 'tf':
            start_as_tensorflow(self)

    def target(self, reflectance: Tensor) -> Tensor:
        """What the restored reflectance should be, from that of the ground truth: (N, 3, H, W) -> (N, 3, H, W)."""
        raise NotImplementedError

    def enhance(self, inputs: Tensor, prior: Prior, gt: Optional[Tensor]) -> Restoration:
        """Testing; the ground truth is looked at with ``exposure='gt'`` only."""
        reflectance, illumination = self.decom(inputs)
        restored = self.denoised(self.restored(reflectance, illumination, prior))
        adjusted = self.adjust(illumination, whole_image(self.ratio(illumination, restored, gt)))
        return Restoration(self.fuse(inputs, reflectance, illumination, restored, adjusted), restored)

    def restored(self, reflectance: Tensor, illumination: Tensor, prior: Prior) -> Tensor:
        """R and I of a dark image -> R without its degradations (N, 3, H, W)."""
        return self.restore(reflectance, illumination, self.ask(prior, reflectance))

    def ratio(self, illumination: Tensor, restored: Tensor, gt: Optional[Tensor]) -> Tensor:
        """By how much each illumination (N, 1, H, W) is brightened: (N, )."""
        if self.exposure == 'auto':
            return auto_ratio(illumination)
        if self.exposure != 'gt':
            return illumination.new_full((len(illumination), ), self.exposure)
        if gt is None:
            raise ValueError("exposure='gt' takes the brightness from the ground truth, and there is none: set "
                             "generator.exposure to 'auto' or to a ratio such as 5.0")
        return self.ratio_to(*self.decom(gt), illumination, restored)

    def ratio_to(self, gt_reflectance: Tensor, gt_illumination: Tensor, illumination: Tensor, restored: Tensor) -> Tensor:
        """The ratio with which the authors get their scores on LOL: (N, )."""
        return exposure_ratio(gt_illumination, illumination)

    def fuse(self, image: Tensor, reflectance: Tensor, illumination: Tensor, restored: Tensor, adjusted: Tensor) -> Tensor:
        """The enhanced image (N, 3, H, W) of the low-light image, its parts, and what was made of these."""
        enhanced = restored * adjusted
        return enhanced if self.fusion == 'product' else fuse_own_photo(image, reflectance, illumination, enhanced)

    def train_adjust(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Adjustment:
        """The second stage, which semantics do not reach: each sample is brightened or darkened, by chance."""
        with torch.no_grad():
            low, high = self.decom(inputs)[1], self.decom(gt)[1]
            ratio = exposure_ratio(low, high)
        brighten = torch.rand_like(ratio) < 0.5
        up = brighten.view(-1, 1, 1, 1)
        adjusted = self.adjust(torch.where(up, low, high), torch.where(brighten, 1 / ratio + EPS, ratio))
        return Adjustment(adjusted, torch.where(up, high, low))

    def train_restore(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Restoration:
        """The last stage, which semantics guide; the enhanced image has the brightness of the ground truth."""
        with torch.no_grad():
            reflectance, illumination = self.decom(inputs)
            gt_reflectance, gt_illumination = self.decom(gt)
            adjusted = self.adjust(illumination, exposure_ratio(gt_illumination, illumination))
        restored = self.restored(reflectance, illumination, prior)
        return Restoration(restored * adjusted, restored, self.target(gt_reflectance))

import torch
from torch import Tensor, nn

from mmskf.models.whole_image import whole_image
from mmskf.structures import Adjustment, Prior, Restoration

from ..retinex_generator import RetinexGenerator, start_as_tensorflow
from .exposure import EPS, auto_ratio, exposure_ratio, fuse_own_photo
from .subnets import AdjustmentNet, DecompositionNet


class KinDBase(RetinexGenerator):
    """The base of KinD and KinD++: decompose, restore the reflectance, adjust the illumination, fuse.

    A subclass defines in ``target`` what the restored reflectance should be. Images are already stretched to the full range
    (:class:`StretchRange`): the inputs, and the ground truth where it is used.

    Args:
        restore (nn.Module): The restoration net: R, I, prior -> R.
        form (str): Form of the other subnets, 'tf' or 'port'.
        exposure (str | float): The ratio by which the illumination is brightened in testing. 'auto' computes it from the image,
            (0.6 + 0.5 mean I) / mean I; a number is the ratio for all images (the authors use 5 for real-world photos); 'gt'
            takes it from the ground truth, as the authors do for their scores on LOL.
        fusion (str): One of ``fusions``. 'product': R * I; 'authors': their fusion for real-world photos.
        denoise (float, optional): As in :class:`RetinexGenerator`, of the restored reflectance.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Raises:
        ValueError: If a choice is unknown.
    """
    stages = ('decom', 'adjust', 'restore')
    fusions: tuple[str, ...] = ('product', 'authors')

    def __init__(self,
                 restore: nn.Module,
                 form: str,
                 exposure: str | float,
                 fusion: str,
                 denoise: float | None,
                 init_cfg: dict | None):
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
        """The target of the restored reflectance, from the ground truth's reflectance: (N, 3, H, W) -> (N, 3, H, W)."""
        raise NotImplementedError

    def enhance(self, inputs: Tensor, prior: Prior, gt: Tensor | None) -> Restoration:
        """Testing; the ground truth is used only with ``exposure='gt'``."""
        reflectance, illumination = self.decom(inputs)
        restored = self.denoised(self.restored(reflectance, illumination, prior))
        adjusted = self.adjust(illumination, whole_image(self.ratio(illumination, restored, gt)))
        return Restoration(self.fuse(inputs, reflectance, illumination, restored, adjusted), restored)

    def restored(self, reflectance: Tensor, illumination: Tensor, prior: Prior) -> Tensor:
        """R and I of a low-light image -> R without its degradations (N, 3, H, W)."""
        return self.restore(reflectance, illumination, self.ask(prior, reflectance))

    def ratio(self, illumination: Tensor, restored: Tensor, gt: Tensor | None) -> Tensor:
        """The ratio by which each illumination map (N, 1, H, W) is brightened: (N, )."""
        if self.exposure == 'auto':
            return auto_ratio(illumination)
        if not isinstance(self.exposure, str):
            return illumination.new_full((len(illumination), ), self.exposure)
        if gt is None:
            raise ValueError("exposure='gt' takes the brightness from the ground truth, but there is none: set "
                             "generator.exposure to 'auto' or to a ratio such as 5.0")
        gt_reflectance, gt_illumination = self.decom(gt)
        return self.ratio_to(gt_reflectance, gt_illumination, illumination, restored)

    def ratio_to(self, gt_reflectance: Tensor, gt_illumination: Tensor, illumination: Tensor, restored: Tensor) -> Tensor:
        """The ratio that the authors use for their scores on LOL: (N, )."""
        return exposure_ratio(gt_illumination, illumination)

    def fuse(self, image: Tensor, reflectance: Tensor, illumination: Tensor, restored: Tensor, adjusted: Tensor) -> Tensor:
        """The enhanced image (N, 3, H, W), from the low-light image, its factors, and the restored and adjusted ones."""
        enhanced = restored * adjusted
        return enhanced if self.fusion == 'product' else fuse_own_photo(image, reflectance, illumination, enhanced)

    def train_adjust(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Adjustment:
        """The second stage, without semantics: each sample is randomly brightened or darkened."""
        with torch.no_grad():
            low, high = self.decom(inputs)[1], self.decom(gt)[1]
            ratio = exposure_ratio(low, high)
        brighten = torch.rand_like(ratio) < 0.5
        up = brighten.view(-1, 1, 1, 1)
        adjusted = self.adjust(torch.where(up, low, high), torch.where(brighten, 1 / ratio + EPS, ratio))
        return Adjustment(adjusted, torch.where(up, high, low))

    def train_restore(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Restoration:
        """The last stage, guided by semantics; the enhanced image has the brightness of the ground truth."""
        with torch.no_grad():
            reflectance, illumination = self.decom(inputs)
            gt_reflectance, gt_illumination = self.decom(gt)
            adjusted = self.adjust(illumination, exposure_ratio(gt_illumination, illumination))
        restored = self.restored(reflectance, illumination, prior)
        return Restoration(restored * adjusted, restored, self.target(gt_reflectance))

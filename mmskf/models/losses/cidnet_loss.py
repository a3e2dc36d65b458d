import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor

from mmskf.models.hvi import rgb_to_hvi
from mmskf.registry import MODELS
from mmskf.structures import HVIOutputs

from .retinex_terms import WeightedTerms
from .ssim_loss import ssim


def laplacian_residue(image: Tensor) -> Tensor:
    """What a level of a Laplacian pyramid keeps: an image minus the blurred upsampling of its blurred downsampling.

    Args:
        image (Tensor): (N, C, H, W).

    Returns:
        Tensor: (N, C, H, W).
    """
    channels = image.shape[1]
    taps = image.new_tensor([0.05, 0.25, 0.4, 0.25, 0.05])
    window = torch.outer(taps, taps).expand(channels, 1, 5, 5)

    def blur(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, [2] * 4, 'replicate'), window, groups=channels)

    kept = torch.zeros_like(image)
    kept[..., ::2, ::2] = 4 * blur(image)[..., ::2, ::2]
    return image - blur(kept)


@MODELS.register_module()
class CIDNetLoss(WeightedTerms[HVIOutputs]):
    """Loss of HVI-CIDNet (Yan et al., CVPR 2025, section 4.3), of the images in RGB and, again, in the HVI color space.

    Each is L1 + ``ssim_weight`` (1 - SSIM) + ``edge_weight`` times the mean squared error of the :func:`laplacian_residue` +
    ``perceptual_weight`` times that of the features of VGG19. The density of the color space gets gradients through both images.

    Args:
        vgg_weights (str or Path, optional): State dict of torchvision's VGG19 (ImageNet). Defaults to None: the file in
            torchvision's cache; if there is none, there is no perceptual term, and a warning says so once.
        hvi_weight (float): Weight of all terms in the HVI color space. Defaults to 1.
        ssim_weight (float): Defaults to 0.5.
        edge_weight (float): Defaults to 50.
        perceptual_weight (float): Defaults to 0.01.

    Raises:
        FileNotFoundError: At the first use, if ``vgg_weights`` names no file.
    """
    layers = ('conv1_2', 'conv2_2', 'conv3_4', 'conv4_4')

    def __init__(self,
                 vgg_weights: str | Path | None = None,
                 hvi_weight: float = 1.,
                 ssim_weight: float = 0.5,
                 edge_weight: float = 50.,
                 perceptual_weight: float = 0.01):
        from .vgg import VGGFeatures  # imports torchvision, which takes a second
        super().__init__()
        self.vgg = VGGFeatures('vgg19', self.layers, vgg_weights)
        self.hvi_weight = hvi_weight
        self.ssim_weight = ssim_weight
        self.edge_weight = edge_weight
        self.perceptual_weight = perceptual_weight

    def terms(self, outputs: HVIOutputs, gt: Tensor) -> dict[str, Tensor]:
        if self.perceptual_weight and not self.vgg.available():
            self.perceptual_weight = 0.
            print_log(f'CIDNetLoss has no perceptual term: it needs the weights of VGG19, but there is no file {self.vgg.path}. '
                      f'{self.vgg.advice}; for a copy elsewhere set model.recon_loss.vgg_weights, and '
                      'model.recon_loss.perceptual_weight=0 to do without', logger='current', level=logging.WARNING)
        image, density = outputs
        terms = self.compare(image, gt)
        hvi = self.compare(rgb_to_hvi(image, density), rgb_to_hvi(gt, density))
        return {**terms, **{f'hvi_{name}': self.hvi_weight * term for name, term in hvi.items()}}

    def compare(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The weighted terms of two images (N, 3, H, W) of one color space."""
        terms = dict(
            l1=F.l1_loss(x, y),
            ssim=self.ssim_weight * (1 - ssim(x, y)),
            edge=self.edge_weight * F.mse_loss(laplacian_residue(x), laplacian_residue(y)))
        if self.perceptual_weight:
            terms['perceptual'] = self.perceptual_weight * self.perceptual(x, y)
        return terms

    def perceptual(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean squared error of the features, summed over the layers; without a gradient for ``y``."""
        # The released code takes [0, 1] for [-1, 1], and HVI for RGB.
        features = zip(self.vgg((x + 1) / 2), self.vgg((y.detach() + 1) / 2))
        return torch.stack([F.mse_loss(*pair) for pair in features]).sum()

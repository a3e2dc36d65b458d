import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

from mmskf.models.whole_image import Window
from mmskf.registry import MODELS
from mmskf.structures import WindowedOutputs

from .sa_loss import temporarily


def contents(images: Tensor, windows: Tensor) -> Tensor:
    """The contents of windows of the same size: (N, C, H, W), (windows, 4) -> (windows * N, C, h, w)."""
    return torch.cat([Window(*window).of(images) for window in windows.tolist()])


def relativistic(better: Tensor, worse: Tensor) -> Tensor:
    """Relativistic average least-squares GAN: scores should exceed the mean of the worse ones by 1, those equal their mean."""
    return ((better - worse.mean() - 1).square().mean() + (worse - better.mean()).square().mean()) / 2


@MODELS.register_module()
class GlobalLocalGANLoss(nn.Module):
    """The adversarial losses of EnlightenGAN (Jiang et al., TIP 2021, section III-B), for discriminators and generator.

    Global: a relativistic average least-squares GAN on whole images. Local: a least-squares GAN on small patches, at the same
    places in all images of a batch. Real are normal-light images of other scenes.

    Args:
        num_patches (int): Patches per image. Defaults to 6, as released: one and five more.
        patch_size (int): Their side, in pixels. Defaults to 32.
    """

    def __init__(self, num_patches: int = 6, patch_size: int = 32):
        super().__init__()
        self.num_patches = num_patches
        self.patch_size = patch_size

    def windows(self, images: Tensor) -> Tensor:
        """Random places of the patches in images (N, C, H, W), which are larger than a patch: see :class:`WindowedOutputs`.

        Raises:
            ValueError: If they are not.
        """
        ranges = [side - self.patch_size for side in images.shape[-2:]]
        if min(ranges) < 1:
            raise ValueError(f'The training crops are {images.shape[-1]}x{images.shape[-2]}, but the local discriminator sees '
                             f'patches of {self.patch_size}x{self.patch_size} at random places in them: set a larger crop_size '
                             'for RandomCrop in the training pipeline')
        first = [torch.randint(end, (self.num_patches, )) for end in ranges]
        return torch.stack([edge for corner in first for edge in (corner, corner + self.patch_size)], dim=1)

    def generator_loss(self, discriminator: nn.Module, outputs: WindowedOutputs, real: Tensor) -> dict[str, Tensor]:
        """The loss of the generator. Gradients reach the enhanced image, but not the discriminators.

        Args:
            discriminator (nn.Module): Both discriminators, a :class:`GlobalLocalDiscriminator`.
            outputs (WindowedOutputs): The enhanced images, and the places of the patches.
            real (Tensor): Normal-light images (N, 3, H, W) in [0, 1].

        Returns:
            dict[str, Tensor]: 'loss_GAN_global' and 'loss_GAN_local'.
        """
        fake = outputs.image
        with temporarily(discriminator.parameters(), 'requires_grad', False):
            of_fake, of_fake_patches = discriminator(fake, contents(fake, outputs.windows))
            of_real, _ = discriminator(real, contents(real, outputs.windows))
        return dict(loss_GAN_global=relativistic(of_fake, of_real), loss_GAN_local=(of_fake_patches - 1).square().mean())

    def discriminator_loss(self, discriminator: nn.Module, outputs: WindowedOutputs, real: Tensor) -> dict[str, Tensor]:
        """The loss of both discriminators; arguments as in :meth:`generator_loss`, the enhanced image is detached here.

        Returns:
            dict[str, Tensor]: 'loss_D_global' and 'loss_D_local'.
        """
        fake = outputs.image.detach()
        of_fake, of_fake_patches = discriminator(fake, contents(fake, outputs.windows))
        of_real, of_real_patches = discriminator(real, contents(real, outputs.windows))
        local = ((of_real_patches - 1).square().mean() + of_fake_patches.square().mean()) / 2
        return dict(loss_D_global=relativistic(of_real, of_fake), loss_D_local=local)


@MODELS.register_module()
class SelfFeatureLoss(nn.Module):
    """Self feature preserving loss (EnlightenGAN, section III-B): the content of the low-light image is kept.

    Mean squared distance between the VGG16 features of the enhanced and the low-light image at relu5_1, without the pooling
    before it and normalized per image and channel; for the whole image and for its patches.

    VGG16 is frozen, its weights are in no checkpoint. They are read from a file at the first use and never downloaded. If none
    is named and there is none in the cache, a warning says so, and there is no such loss.

    Args:
        weights (str or Path, optional): State dict of VGG16. Defaults to None: the file that torchvision itself keeps in its
            cache, ``torch.hub.get_dir()/checkpoints``.
        form (str): 'torchvision', or 'authors' for the weights that the authors of EnlightenGAN used, whose images are BGR in
            0..255. Defaults to 'torchvision'.

    Shape:
        :class:`WindowedOutputs` -> dict of scalars: 'loss_recon', the sum, and its terms; empty without weights

    Raises:
        FileNotFoundError: At the first use, if ``weights`` names no file.
        ValueError: If ``form`` is unknown, or at the first use if the file is damaged or not a VGG16.
    """

    def __init__(self, weights: str | Path | None = None, form: str = 'torchvision'):
        from .vgg import VGGFeatures  # imports torchvision, which takes a second
        super().__init__()
        self.vgg = VGGFeatures('vgg16', ['relu5_1'], weights, form, omit=['pool4'])
        self.missing: bool | None = None

    def forward(self, outputs: WindowedOutputs, gt: Tensor | None = None) -> dict[str, Tensor]:
        if self.missing is None:
            self.missing = not self.vgg.available()
            if self.missing:
                print_log(f'The self feature preserving loss is off: it needs the weights of VGG16, but there is no file '
                          f'{self.vgg.path}; nothing else makes the result resemble the input. {self.vgg.advice}; for a copy '
                          'elsewhere set model.recon_loss.weights', logger='current', level=logging.WARNING)
        if self.missing:
            return {}
        image, inputs, windows = outputs
        terms = dict(feature_image=self.distance(image, inputs),
                     feature_patches=self.distance(contents(image, windows), contents(inputs, windows)))
        return dict(loss_recon=terms['feature_image'] + terms['feature_patches'], **terms)

    def distance(self, image: Tensor, inputs: Tensor) -> Tensor:
        """The distance of two batches of images (N, 3, H, W) in [0, 1]."""
        return F.mse_loss(F.instance_norm(self.features(image)), F.instance_norm(self.features(inputs)))

    def features(self, image: Tensor) -> Tensor:
        """relu5_1 of images: (N, 3, H, W) in [0, 1] -> (N, 512, H / 8, W / 8)."""
        return self.vgg(image)[0]

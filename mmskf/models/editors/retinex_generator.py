from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import skimage  # which imports its parts when they are used
import torch
from mmengine.model import xavier_init
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.structures import Decomposition, Prior


def denoise_reflectance(reflectance: Tensor, sigma: float) -> Tensor:
    """Denoises each image of a batch by scikit-image's non-local means, without gradient.

    Args:
        reflectance (Tensor): (N, 3, H, W) in [0, 1].
        sigma (float): Standard deviation of the noise.

    Returns:
        Tensor: (N, 3, H, W).
    """
    images = reflectance.detach().float().cpu().numpy()
    # scikit-image recommends 0.8 times the noise level for its fast mode.
    clean = [skimage.restoration.denoise_nl_means(image, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=0)
             for image in images]
    return torch.from_numpy(np.stack(clean)).to(reflectance)


def start_as_tensorflow(net: nn.Module) -> None:
    """Initializes convolutions as TensorFlow does, with Glorot's random weights; SE modules keep PyTorch's initialization.

    PyTorch's weights are smaller: the output of KinD++'s deep restoration net would hardly depend on the image.
    """
    if isinstance(net, (nn.Conv2d, nn.ConvTranspose2d)):
        xavier_init(net, distribution='uniform')
    elif not isinstance(net, SEModuleList):
        for child in net.children():
            start_as_tensorflow(child)


class RetinexGenerator(EnhancementNet):
    """A network of several subnets that are trained one after the other; the first decomposes an image, S = R * I.

    A subclass lists its subnets in ``stages``, in training order. For each it has a child of that name and a method
    ``train_<stage>(inputs, gt, prior)``, and for testing ``enhance(inputs, prior, gt)``. The first is ``decom``: image -> R, I.

    Args:
        denoise (float, optional): Standard deviation of the noise that non-local means remove from the reflectance in testing.
            Defaults to None: no denoising, as released.
        init_cfg (dict, optional): As in :class:`BaseModule`.
    """
    stages: tuple[str, ...] = ('decom', )
    early_image = True
    decom: nn.Module

    def __init__(self, denoise: float | None = None, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.denoise = denoise
        if denoise is not None:
            self.export_obstacle = 'scikit-image denoises its reflectance, not PyTorch: set generator.denoise=None'

    def forward(self,
                inputs: Tensor,
                prior: Prior = None,
                gt: Tensor | None = None,
                stage: str | None = None) -> NamedTuple:
        """Enhances images, or returns the outputs for the loss of a stage.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior or callable, optional): For the SE modules of the last subnet. A callable is called with the
                reflectance of the inputs.
            gt (Tensor, optional): Ground truth (N, 3, H, W), for training.
            stage (str, optional): The subnet to train. The earlier ones are frozen: without gradient and in eval mode.
                Defaults to None: testing.

        Returns:
            tuple: :class:`Relighting` or :class:`Restoration` in testing and in the last stage, :class:`Decomposition` or
            :class:`Adjustment` in the others.

        Raises:
            ValueError: If there is no such stage.
        """
        if stage is None:
            return self.enhance(inputs, prior, gt)
        if stage not in self.stages:
            raise ValueError(f'stage={stage!r}: {type(self).__name__} is trained in the stages {self.stages}')
        for name in self.stages[:self.stages.index(stage)]:
            getattr(self, name).eval()
        return getattr(self, f'train_{stage}')(inputs, gt, prior)

    @abstractmethod
    def enhance(self, inputs: Tensor, prior: Prior, gt: Tensor | None) -> NamedTuple:
        """Testing: inputs (N, 3, H, W) -> :class:`Relighting` or :class:`Restoration`."""

    def train_decom(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Decomposition:
        """The first stage, without semantics."""
        return Decomposition(inputs, gt, *self.decom(inputs), *self.decom(gt))

    def denoised(self, reflectance: Tensor) -> Tensor:
        """The reflectance, denoised if ``denoise`` is set."""
        return reflectance if self.denoise is None else denoise_reflectance(reflectance, self.denoise)

from typing import NamedTuple, Optional, Tuple

import numpy as np
import torch
from mmengine.model import xavier_init
from skimage.restoration import denoise_nl_means
from torch import Tensor, nn

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.structures import Decomposition, Prior


def denoise_reflectance(reflectance: Tensor, sigma: float) -> Tensor:
    """Non-local means of scikit-image on every image of a batch, without gradient.

    Args:
        reflectance (Tensor): (N, 3, H, W) in [0, 1].
        sigma (float): Standard deviation of the noise.

    Returns:
        Tensor: (N, 3, H, W).
    """
    images = reflectance.detach().float().cpu().numpy()
    # 0.8 times the noise is what scikit-image advises for its fast mode.
    clean = [denoise_nl_means(image, h=0.8 * sigma, sigma=sigma, fast_mode=True, channel_axis=0) for image in images]
    return torch.from_numpy(np.stack(clean)).to(reflectance)


def start_as_tensorflow(net: nn.Module):
    """Gives convolutions the random weights they start with in TensorFlow, Glorot's; SE modules keep PyTorch's.

    PyTorch's are smaller: what the deep restoration net of KinD++ makes of an image would hardly vary with it.
    """
    if isinstance(net, (nn.Conv2d, nn.ConvTranspose2d)):
        xavier_init(net, distribution='uniform')
    elif not isinstance(net, SEModuleList):
        for child in net.children():
            start_as_tensorflow(child)


class RetinexGenerator(EnhancementNet):
    """A network of several subnets that first takes an image apart, S = R * I, and is trained one subnet after the other.

    A subclass names its subnets in ``stages``, in the order of their training. It has each as a child of that name, a method
    ``train_<stage>(inputs, gt, prior)`` for each, and ``enhance(inputs, prior, gt)`` for testing. The first is ``decom``:
    image -> R, I.

    Args:
        denoise (float, optional): Standard deviation of the noise that non-local means take out of the reflectance in
            testing. Defaults to None: as released, without.
        init_cfg (dict, optional): As in :class:`BaseModule`.
    """
    stages: Tuple[str, ...] = ('decom', )
    early_image = True

    def __init__(self, denoise: Optional[float] = None, init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.denoise = denoise

    def forward(self,
                inputs: Tensor,
                prior: Prior = None,
                gt: Optional[Tensor] = None,
                stage: Optional[str] = None) -> NamedTuple:
        """Enhances images, or yields what the loss of one stage takes.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior or callable, optional): For the SE modules of the last subnet. A callable is given the
                reflectance of the inputs.
            gt (Tensor, optional): Ground truth (N, 3, H, W), for training.
            stage (str, optional): The subnet that is trained. The ones before it are frozen: without gradient and in eval
                mode. Defaults to None: testing.

        Returns:
            tuple: In testing and in the last stage :class:`Relighting` or :class:`Restoration`, in the others
            :class:`Decomposition` or :class:`Adjustment`.

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

    def train_decom(self, inputs: Tensor, gt: Tensor, prior: Prior) -> Decomposition:
        """The first stage, which semantics do not reach."""
        return Decomposition(inputs, gt, *self.decom(inputs), *self.decom(gt))

    def denoised(self, reflectance: Tensor) -> Tensor:
        """The reflectance as ``denoise`` wants it."""
        return reflectance if self.denoise is None else denoise_reflectance(reflectance, self.denoise)

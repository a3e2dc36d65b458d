import cv2
import numpy as np
import torch
from torch import Tensor

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.registry import MODELS
from mmskf.structures import Prior


@MODELS.register_module()
class Identity(EnhancementNet):
    """The unchanged image, to score the inputs themselves. No weights.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W)
    """
    max_pixels = None

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """The images; the prior is for networks with SE modules."""
        return inputs


@MODELS.register_module()
class GammaCorrection(EnhancementNet):
    """x^(1/gamma), for all channels. No weights.

    Args:
        gamma (float): Above 1 it brightens; 2.2 is the exponent of typical displays. Defaults to 2.2.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W) in [0, 1]

    Raises:
        ValueError: If ``gamma`` is not positive.
    """
    max_pixels = None

    def __init__(self, gamma: float = 2.2, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if gamma <= 0:
            raise ValueError(f'gamma of GammaCorrection is {gamma!r}, expected a positive number')
        self.gamma = gamma

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images; the prior is for networks with SE modules."""
        return inputs.pow(1 / self.gamma)


@MODELS.register_module()
class CLAHE(EnhancementNet):
    """Contrast-limited adaptive histogram equalization (Zuiderveld, Graphics Gems IV, 1994) by OpenCV. No weights.

    It is applied to the value V of HSV, in 8 bits as usual; hue and saturation are kept. On the lightness of CIELAB, whose other
    channels would stay as small as they are in the dark, photos would turn gray.

    Args:
        clip_limit (float): OpenCV's ``clipLimit``: maximum of a histogram bin, relative to the mean. Well-lit photos need 2 to 4,
            which leaves dark ones dark; of 2, 4, 8 and 40 (OpenCV's default), 8 had the highest SSIM on pairs of dark and bright
            photos. Defaults to 8.
        tiles (int): Tiles in each direction, each with a histogram of its own. Defaults to 8.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W) in [0, 1]

    Raises:
        ValueError: If a number is not positive.
    """
    max_pixels = None  # Its tiles are parts of the whole image.
    export_obstacle = 'OpenCV computes it, not PyTorch'

    def __init__(self, clip_limit: float = 8., tiles: int = 8, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if clip_limit <= 0 or tiles < 1:
            raise ValueError(f'clip_limit and tiles of CLAHE are {clip_limit!r} and {tiles!r}, expected positive numbers')
        self.clip_limit, self.tiles = clip_limit, tiles

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images, one by one; the prior is for networks with SE modules."""
        images = inputs.detach().float().cpu().clamp(0, 1).permute(0, 2, 3, 1).numpy()
        results = [torch.from_numpy(self.equalize(image)) for image in images]
        return torch.stack(results).permute(0, 3, 1, 2).to(inputs)

    def equalize(self, image: np.ndarray) -> np.ndarray:
        """Equalizes one image, (H, W, 3) RGB in [0, 1], float32 -> the same."""
        hsv = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2HSV)
        value = np.rint(hsv[..., 2] * 255).astype(np.uint8)
        hsv[..., 2] = cv2.createCLAHE(self.clip_limit, (self.tiles, self.tiles)).apply(value) / 255
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).clip(0, 1)

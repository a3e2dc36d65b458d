import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmskf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class AppendEqualized(BaseTransform):
    """Appends the histogram-equalized image, channel by channel, as in LLFlow's input.

    It must come before any crop: the histogram is that of the whole image.

    Required Keys:

    - [KEY]: uint8 (H, W, 3)

    Modified Keys:

    - [KEY]: uint8 (H, W, 6), the image itself first

    Args:
        key (str): Which image. Defaults to 'img'.
    """

    def __init__(self, key: str = 'img') -> None:
        self.key = key

    def transform(self, results: dict) -> dict:
        channels = cv2.split(results[self.key])
        results[self.key] = np.dstack([*channels, *map(cv2.equalizeHist, channels)])
        return results

    @staticmethod
    def of_tensor(image: Tensor) -> Tensor:
        """The same for images in [0, 1], as an exported model needs it: (N, 3, H, W) -> (N, 6, H, W)."""
        levels = (image * 255).round().long().flatten(0, 1).flatten(1)
        counts = levels.new_zeros(levels.shape[0], 256).scatter_add(1, levels, torch.ones_like(levels))
        darkest = counts.gather(1, (counts > 0).long().argmax(dim=1, keepdim=True))
        others = counts.sum(dim=1, keepdim=True) - darkest
        table = ((counts.cumsum(dim=1) - darkest).float() * (255 / others.float())).round().clamp(0, 255)
        equalized = torch.where(others == 0, levels.float(), table.gather(1, levels)) / 255
        return torch.cat([image, equalized.view_as(image)], dim=1)

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

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

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmskf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class StretchRange(BaseTransform):
    """Stretches each image to the full range of brightness, as KinD and KinD++ do: (x - min) / (max - min).

    All channels share one range, that of the whole image: in training it comes before the crop.

    Modified Keys:

    - the keys: float32 in 0..255

    Args:
        keys (Sequence[str]): Images with values in 0..255, each stretched separately.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys

    def transform(self, results: dict) -> dict:
        for key in self.keys:
            image = results[key].astype(np.float32)
            # The authors' minimum range, a thousandth, keeps a black image black.
            results[key] = (image - image.min()) / max(np.ptp(image), 0.255) * np.float32(255)
        return results

    @staticmethod
    def of_tensor(image: Tensor) -> Tensor:
        """The same for images (N, 3, H, W) in [0, 1], as an exported model needs it."""
        low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
        return (image - low) / (high - low).clamp(min=1e-3)

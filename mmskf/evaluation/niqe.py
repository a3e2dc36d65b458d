import warnings
from typing import Any

import numpy as np
from mmagic.evaluation.metrics.niqe import niqe

from mmskf.registry import METRICS

from .image_metric import ImageMetric

BLOCK = 96


@METRICS.register_module()
class NIQE(ImageMetric):
    """Natural image quality evaluator (Mittal et al., 2013): needs no ground truth; lower is better.

    The function is mmagic's: blocks of 96x96 pixels, the authors' model of pristine images. ``mmagic.NIQE`` itself requires a
    ground truth and mistakes the output for (H, W, C), hence this class. An image with fewer than two blocks, or with fewer than
    two that have any texture (a black output), has no NIQE.

    Args:
        convert_to (str): 'y' (BT.601 luma, 16..235, as in the authors' MATLAB code and most papers) or 'gray'.
            Defaults to 'y'.
        **kwargs: See :class:`ImageMetric`.

    Raises:
        ValueError: If ``convert_to`` is unknown.
    """
    metric = 'NIQE'
    needs_gt = False
    unmeasurable = f'smaller than two blocks of {BLOCK}x{BLOCK} pixels or flat'

    def __init__(self, convert_to: str = 'y', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if convert_to not in ('y', 'gray'):
            raise ValueError(f'NIQE: convert_to is {convert_to!r}; it is "y" or "gray"')
        self.convert_to = convert_to

    def measure(self, pred: np.ndarray, gt: np.ndarray | None = None) -> float | None:
        height, width = pred.shape[:2]
        if (height // BLOCK) * (width // BLOCK) < 2:
            return None
        with warnings.catch_warnings():
            # A flat block (a clipped sky) has no statistics: numpy warns, the function skips the block.
            warnings.simplefilter('ignore', RuntimeWarning)
            try:
                score = float(niqe(pred[..., ::-1], crop_border=0, input_order='HWC', convert_to=self.convert_to))
            except np.linalg.LinAlgError:
                return None
        return score if np.isfinite(score) else None

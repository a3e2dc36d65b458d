from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from torch import nn
from torch.utils.data import DataLoader

from mmskf.registry import METRICS
from mmskf.utils.image import to_uint8

from .image_metric import ImageMetric


def gt_mean_gray(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Scales an output so that its mean gray value matches the ground truth's (KinD and many later methods).

    Args:
        pred (np.ndarray): (H, W, 3), RGB, float, 0..255; clipped to that range.
        gt (np.ndarray): The same.

    Returns:
        np.ndarray: (H, W, 3), RGB, rounded to uint8.
    """
    pred = np.clip(pred, 0, 255)
    # 1e-8 of 255, so that a black output stays black instead of becoming NaN.
    ratio = _gray_mean(gt, cv2.COLOR_RGB2GRAY) / max(_gray_mean(pred, cv2.COLOR_RGB2GRAY), 255e-8)
    return to_uint8(pred * ratio)


def gt_mean_llflow(pred: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """The correction in LLFlow's test code, which SKF's LLFlow results include, quirks and all.

    The ground truth's mean is that of its gray image, with the weights of red and blue swapped; the output's is over all pixels
    and channels; the result is truncated to uint8, not rounded.

    Args:
        pred (np.ndarray): (H, W, 3), RGB, float, 0..255 (LLFlow's own code does not clip it; mmagic's loops already have).
        gt (np.ndarray): The same.

    Returns:
        np.ndarray: (H, W, 3), RGB, uint8.
    """
    ratio = _gray_mean(gt, cv2.COLOR_BGR2GRAY) / max(pred.mean(dtype=np.float64), 255e-8)
    return np.clip(pred * ratio, 0, 255).astype(np.uint8)


def _gray_mean(image: np.ndarray, code: int) -> float:
    return cv2.cvtColor(np.ascontiguousarray(image), code).mean(dtype=np.float64)


CORRECTIONS: dict[str, Callable[..., np.ndarray]] = dict(gray=gt_mean_gray, llflow=gt_mean_llflow)


@METRICS.register_module()
class GTMean(ImageMetric):
    """Reports metrics twice: for the plain output, and for the output with its brightness matched to the ground truth.

    Warning:
        The correction uses the ground truth, which is not available in practice. Corrected scores are higher, and comparable
        only with scores corrected in the same way. They are shown beside the plain ones, under a name of their own such as
        'PSNR (gray GT-mean)', and never instead of them.

    A config that uses it spells out the evaluator, ``val_evaluator = dict(type='Evaluator', metrics=[...])``: in a plain list of
    metrics, mmagic's loops mistake everything with a field "metrics" for an evaluator.

    Args:
        metrics (list[dict or ImageMetric]): What to report twice: PSNR, SSIM, LPIPS or NIQE of mmskf.
        mode (str): 'none' reports plain scores only; 'gray' matches the mean gray values, rounding to uint8; 'llflow' does what
            LLFlow's test code does (see :func:`gt_mean_llflow`). Defaults to 'none'.
        **kwargs: See :class:`ImageMetric`; those of the inner metrics are not used.

    Raises:
        ValueError: If the mode is unknown.
        TypeError: If a metric is not an :class:`ImageMetric`, such as ``mmagic.PSNR``.
    """
    metric = 'GT-mean'

    def __init__(self, metrics: Sequence[dict | ImageMetric], mode: str = 'none', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in ('none', *CORRECTIONS):
            raise ValueError(f'GTMean: mode is {mode!r}; it is one of "none", {", ".join(map(repr, CORRECTIONS))}')
        self.mode = mode
        self.metrics = [METRICS.build(metric) if isinstance(metric, dict) else metric for metric in metrics]
        for metric in self.metrics:
            if not isinstance(metric, ImageMetric):
                raise TypeError(f'GTMean: {type(metric).__module__}.{type(metric).__name__} scores no single images; '
                                'use PSNR, SSIM, LPIPS or NIQE of mmskf')

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        super().prepare(module, dataloader)
        for metric in self.metrics:
            metric.prepare(module, dataloader)

    def scores(self, pred: np.ndarray, gt: np.ndarray | None) -> dict[str, float | None]:
        corrected = None if self.mode == 'none' else CORRECTIONS[self.mode](pred, gt)
        scores: dict[str, float | None] = {}
        for metric in self.metrics:
            plain = metric.scores(pred, gt)
            scores.update(plain)
            if corrected is not None:
                of_corrected = metric.scores(corrected, gt)
                scores.update({f'{name} ({self.mode} GT-mean)': of_corrected[name] for name in plain})
        return scores

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.logging import print_log

from mmskf.utils.image import to_float_rgb, to_uint8

NOT_MEASURED = 'not measured'
# Parts of metric names, mmagic's included, that tell hooks and schedulers which of two scores is better.
GREATER_IS_BETTER = ('PSNR', 'SSIM', 'SNR')
LESS_IS_BETTER = ('LPIPS', 'NIQE', 'MAE', 'MSE', 'SAD', 'FID', 'GradientError', 'ConnectivityError')


def is_nan(score: Any) -> bool:
    """Whether a reported score stands for something that could not be measured."""
    return isinstance(score, float) and math.isnan(score)


class ImageMetric(BaseSampleWiseMetric):
    """Base class of metrics that score each image separately and report the mean.

    It runs in mmagic's evaluators and loops, alongside mmagic's own metrics. Unlike those it keeps the path of each image with
    its scores, even when they are collected from several processes: after ``evaluate``, the main process has them in
    ``image_scores``, a dict: path of the input image -> dict: name of the score -> float, or None if the image could not be
    measured. Such images are excluded from the mean, with a warning; if no image could be measured the mean is NaN, which logs
    show as 'not measured'.

    If an output has a field ``note``, with what a reader of its scores has to know, the name of every score includes it: 'PSNR
    (exposure from the ground truth)'.

    A subclass sets ``metric`` (its name) and implements :meth:`measure`.

    Args:
        gt_key (str): Field of the data sample with the ground truth. Defaults to 'gt_img'.
        pred_key (str): Field of the output with the prediction. Defaults to 'pred_img'.
        collect_device (str): 'cpu' or 'gpu': where results of several processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Precedes the name in the report, as in 'prefix/PSNR'; distinguishes data sets.
    """

    metric: str
    default_prefix = ''  # no prefix, and no warning that there is none
    needs_gt = True
    #: When :meth:`measure` returns None: the end of the sentence 'these could not be measured, because they are ...'.
    unmeasurable: str | None = None

    def __init__(self, gt_key: str = 'gt_img', pred_key: str = 'pred_img', collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(gt_key=gt_key, pred_key=pred_key, collect_device=collect_device, prefix=prefix)
        self.image_scores: dict[str, dict[str, float | None]] = {}

    def measure(self, pred: np.ndarray, gt: np.ndarray | None) -> float | None:
        """Scores one image.

        Args:
            pred (np.ndarray): (H, W, 3), RGB, uint8.
            gt (np.ndarray or None): The same; None for metrics with ``needs_gt = False``.

        Returns:
            float or None: The score; None if this image cannot be measured.
        """
        raise NotImplementedError

    def scores(self, pred: np.ndarray, gt: np.ndarray | None) -> dict[str, float | None]:
        """Scores one image by name.

        Args:
            pred (np.ndarray): (H, W, 3), RGB, float, 0..255.
            gt (np.ndarray or None): The same.

        Returns:
            dict[str, float or None]: Name in the report -> score.
        """
        return {self.metric: self.measure(to_uint8(pred), None if gt is None else to_uint8(gt))}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Scores a batch.

        Args:
            data_batch (dict): Not used.
            data_samples (list[dict]): Each with 'img_path', ['output'][pred_key] and gt_key: (3, H, W), BGR, 0..255.

        Raises:
            KeyError: If a sample lacks the ground truth that this metric needs.
            ValueError: If prediction and ground truth differ in size.
        """
        for sample in data_samples:
            path = sample['img_path']
            pred = to_float_rgb(sample['output'][self.pred_key])
            gt = self._ground_truth(sample, path, pred.shape) if self.needs_gt else None
            scores = self.scores(pred, gt)
            note = sample['output'].get('note')
            if note:
                scores = {f'{name} ({note})': score for name, score in scores.items()}
            self.results.append(dict(path=path, scores=scores))

    def _ground_truth(self, sample: dict, path: str, shape: tuple[int, ...]) -> np.ndarray:
        if self.gt_key not in sample:
            raise KeyError(f'{self.metric} compares with ground truth, but the data sample of {path} has no '
                           f'"{self.gt_key}": give the data set a "gt" folder in data_prefix and load it, or '
                           'evaluate with dict(type="NIQE"), which needs none')
        gt = to_float_rgb(sample[self.gt_key])
        if gt.shape != shape:
            raise ValueError(f'{self.metric}: the output for {path} is {shape[1]} x {shape[0]} pixels with {shape[2]} '
                             f'channels, its ground truth {gt.shape[1]} x {gt.shape[0]} with {gt.shape[2]}: they must '
                             'match; check that the pair belongs together')
        return gt

    def compute_metrics(self, results: list[dict]) -> dict[str, float | str]:
        """Means over the images that could be measured.

        Args:
            results (list[dict]): Path and scores of every image, of all processes.

        Returns:
            dict[str, float]: Name -> mean, NaN if nothing could be measured.
        """
        self.image_scores = {result['path']: result['scores'] for result in results}
        by_name: dict[str, list[float | None]] = {}
        for result in results:
            for name, score in result['scores'].items():
                by_name.setdefault(name, []).append(score)
        return {name: self._mean(name, values, results) for name, values in by_name.items()}

    def _mean(self, name: str, values: list[float | None], results: list[dict]) -> float | str:
        measured = [value for value in values if value is not None]
        if self.unmeasurable and len(measured) < len(values):
            missing = [result['path'] for result in results if result['scores'][name] is None]
            print_log(f'{name}: {len(missing)} of {len(values)} images could not be measured and are not in the mean, '
                      f'because they are {self.unmeasurable}: {", ".join(missing[:5])}{", ..." if missing[5:] else ""}',
                      logger='current', level=logging.WARNING)
        return float(np.mean(measured)) if measured else math.nan

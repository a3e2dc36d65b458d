import logging
import math

import numpy as np
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.logging import print_log

from mmskf.utils.image import to_float_rgb, to_uint8

NOT_MEASURED = 'not measured'
# Parts of the names of metrics, mmagic's included, by which hooks and schedulers know which of two scores is better.
GREATER_IS_BETTER = ('PSNR', 'SSIM', 'SNR')
LESS_IS_BETTER = ('LPIPS', 'NIQE', 'MAE', 'MSE', 'SAD', 'FID', 'GradientError', 'ConnectivityError')


def is_nan(score):
    """Whether a score of a report is that of something that could not be measured."""
    return isinstance(score, float) and math.isnan(score)


class ImageMetric(BaseSampleWiseMetric):
    """Base of metrics that give each image a score of its own and report the mean.

    It runs in mmagic's evaluators and loops, beside mmagic's own metrics. Other than those it keeps the path of the image
    with its scores, also when they are collected from several processes: after ``evaluate``, the main process has them in
    ``image_scores``, a dict: path of the input image -> dict: name of the score -> float, or None where the image could
    not be measured. Such images are left out of the mean, with a warning; where no image could be measured the mean
    is NaN, which logs show as 'not measured'.

    Where the model says of an output what has to be known of its scores, in the field ``note``, every score has that in its
    name: 'PSNR (exposure from the ground truth)'.

    A subclass sets ``metric`` (its name) and implements :meth:`measure`.

    Args:
        gt_key (str): Field of the data sample that holds the ground truth. Defaults to 'gt_img'.
        pred_key (str): Field of the output that holds the prediction. Defaults to 'pred_img'.
        collect_device (str): 'cpu' or 'gpu': where results of several processes are collected. Defaults to 'cpu'.
        prefix (str, optional): Goes before the name in the report, as in 'prefix/PSNR'; tells data sets apart.
    """

    default_prefix = ''  # no prefix, and no warning that there is none
    needs_gt = True
    #: When :meth:`measure` returns None, in words: ends the sentence 'these could not be measured: they are ...'.
    unmeasurable = None

    def __init__(self, gt_key='gt_img', pred_key='pred_img', collect_device='cpu', prefix=None):
        super().__init__(gt_key=gt_key, pred_key=pred_key, collect_device=collect_device, prefix=prefix)
        self.image_scores = {}

    def measure(self, pred, gt):
        """Scores one image.

        Args:
            pred (np.ndarray): (H, W, 3), RGB, uint8.
            gt (np.ndarray or None): The same; None for metrics with ``needs_gt = False``.

        Returns:
            float or None: The score; None where this image cannot be measured.
        """
        raise NotImplementedError

    def scores(self, pred, gt):
        """Scores one image by name.

        Args:
            pred (np.ndarray): (H, W, 3), RGB, float, 0..255.
            gt (np.ndarray or None): The same.

        Returns:
            dict[str, float or None]: Name in the report -> score.
        """
        return {self.metric: self.measure(to_uint8(pred), None if gt is None else to_uint8(gt))}

    def process(self, data_batch, data_samples):
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

    def _ground_truth(self, sample, path, shape):
        if self.gt_key not in sample:
            raise KeyError(f'{self.metric} compares with ground truth, but the data sample of {path} has no '
                           f'"{self.gt_key}": give the data set a "gt" folder in data_prefix and load it, or '
                           'evaluate with dict(type="NIQE"), which needs none')
        gt = to_float_rgb(sample[self.gt_key])
        if gt.shape != shape:
            raise ValueError(f'{self.metric}: the output for {path} is {shape[1]} x {shape[0]} pixels with {shape[2]} '
                             f'channels, its ground truth {gt.shape[1]} x {gt.shape[0]} with {gt.shape[2]}: they have '
                             'to be alike; check that the pair belongs together')
        return gt

    def compute_metrics(self, results):
        """Means over the images that could be measured.

        Args:
            results (list[dict]): Path and scores of every image, of all processes.

        Returns:
            dict[str, float]: Name -> mean, NaN where nothing could be measured.
        """
        self.image_scores = {result['path']: result['scores'] for result in results}
        by_name = {}
        for result in results:
            for name, score in result['scores'].items():
                by_name.setdefault(name, []).append(score)
        return {name: self._mean(name, values, results) for name, values in by_name.items()}

    def _mean(self, name, values, results):
        measured = [value for value in values if value is not None]
        if self.unmeasurable and len(measured) < len(values):
            missing = [result['path'] for result in results if result['scores'][name] is None]
            print_log(f'{name}: {len(missing)} of {len(values)} images could not be measured and are not in the mean, '
                      f'because they are {self.unmeasurable}: {", ".join(missing[:5])}{", ..." if missing[5:] else ""}',
                      logger='current', level=logging.WARNING)
        return float(np.mean(measured)) if measured else math.nan

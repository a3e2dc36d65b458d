import math

import numpy as np
from skimage.metrics import mean_squared_error, structural_similarity

from mmskf.registry import METRICS

from .image_metric import ImageMetric


@METRICS.register_module()
class PSNR(ImageMetric):
    """Peak signal-to-noise ratio in dB as in the paper's evaluation: on RGB images rounded to uint8, data range 255.

    One mean squared error over all pixels and channels; no border is cropped. Identical images score infinity.
    ``mmagic.PSNR`` is mmagic's protocol: the same formula on the float output, without rounding.
    """
    metric = 'PSNR'

    def measure(self, pred: np.ndarray, gt: np.ndarray | None) -> float | None:
        error = mean_squared_error(gt, pred)
        return 10 * math.log10(255**2 / error) if error > 0 else math.inf


@METRICS.register_module()
class SSIM(ImageMetric):
    """Structural similarity as in the paper's evaluation: scikit-image's, on RGB images rounded to uint8.

    Uniform window of 7x7 pixels, sample covariance, K1 = 0.01, K2 = 0.03, data range 255; averaged over the pixels whose window
    is inside the image and over the three channels. ``mmagic.SSIM`` is mmagic's protocol: a Gaussian window of 11x11 pixels,
    without rounding; its scores are not comparable with these.
    """
    metric = 'SSIM'
    unmeasurable = 'smaller than the window of 7x7 pixels'

    def measure(self, pred: np.ndarray, gt: np.ndarray | None) -> float | None:
        if min(pred.shape[:2]) < 7:
            return None
        return float(structural_similarity(gt, pred, win_size=7, channel_axis=-1, data_range=255))

"""Metrics, named by their protocol."""
from mmskf.utils.image import to_float_rgb, to_uint8

from .evaluator import Evaluator
from .gt_mean import CORRECTIONS, GTMean, gt_mean_gray, gt_mean_llflow
from .image_metric import GREATER_IS_BETTER, LESS_IS_BETTER, NOT_MEASURED, ImageMetric, is_nan
from .lpips import LPIPS
from .niqe import NIQE
from .psnr_ssim import PSNR, SSIM

__all__ = [
    'CORRECTIONS',
    'GREATER_IS_BETTER',
    'LESS_IS_BETTER',
    'LPIPS',
    'NIQE',
    'NOT_MEASURED',
    'PSNR',
    'SSIM',
    'Evaluator',
    'GTMean',
    'ImageMetric',
    'gt_mean_gray',
    'gt_mean_llflow',
    'is_nan',
    'to_float_rgb',
    'to_uint8'
]

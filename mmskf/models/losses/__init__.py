from .regions import inside_regions
from .sa_loss import SALoss
from .ssim_loss import PyramidLoss, SSIMLoss, ssim

__all__ = ['PyramidLoss', 'SALoss', 'SSIMLoss', 'inside_regions', 'ssim']

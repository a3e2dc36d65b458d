from .ssim_loss import PyramidLoss, SSIMLoss, ssim

__all__ = ['PyramidLoss', 'SSIMLoss', 'ssim']

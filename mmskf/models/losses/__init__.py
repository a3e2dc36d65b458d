from .flow_nll_loss import FlowNLLLoss
from .regions import inside_regions
from .sa_loss import SALoss
from .sch_loss import SCHLoss
from .soft_histogram import soft_histogram
from .ssim_loss import PyramidLoss, SSIMLoss, ssim

__all__ = ['FlowNLLLoss', 'PyramidLoss', 'SALoss', 'SCHLoss', 'SSIMLoss', 'inside_regions', 'soft_histogram', 'ssim']

from .cidnet_loss import CIDNetLoss
from .enlightengan_loss import GlobalLocalGANLoss, SelfFeatureLoss
from .flow_nll_loss import FlowNLLLoss
from .issr_loss import ISSRRelightLoss, ISSRSegmentLoss
from .kind_loss import KinDAdjustLoss, KinDDecomLoss, KinDRestoreLoss
from .pixel_loss import CharbonnierLoss, L1Loss, PSNRLoss
from .regions import inside_regions
from .retinexnet_loss import RetinexNetDecomLoss, RetinexNetRelightLoss
from .sa_loss import SALoss
from .sch_loss import SCHLoss
from .soft_histogram import soft_histogram
from .ssim_loss import PyramidLoss, SSIMLoss, ssim
from .zerodce_loss import ZeroDCELoss

__all__ = [
    'CIDNetLoss', 'CharbonnierLoss', 'FlowNLLLoss', 'GlobalLocalGANLoss', 'ISSRRelightLoss', 'ISSRSegmentLoss', 'KinDAdjustLoss',
    'KinDDecomLoss', 'KinDRestoreLoss', 'L1Loss', 'PSNRLoss', 'PyramidLoss', 'RetinexNetDecomLoss', 'RetinexNetRelightLoss',
    'SALoss', 'SCHLoss', 'SSIMLoss', 'SelfFeatureLoss', 'ZeroDCELoss', 'inside_regions', 'soft_histogram', 'ssim'
]

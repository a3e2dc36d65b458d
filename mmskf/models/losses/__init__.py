from .sch_loss import SCHLoss
from .soft_histogram import soft_histogram

__all__ = ['SCHLoss', 'soft_histogram']

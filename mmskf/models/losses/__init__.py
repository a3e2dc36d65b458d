from .regions import inside_regions
from .sa_loss import SALoss

__all__ = ['SALoss', 'inside_regions']

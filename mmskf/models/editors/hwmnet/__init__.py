from .haar import haar, inverse_haar
from .hwmnet_net import HWMNet

__all__ = ['HWMNet', 'haar', 'inverse_haar']

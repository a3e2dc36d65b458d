from .kindpp_net import KinDPlusPlus

__all__ = ['KinDPlusPlus']

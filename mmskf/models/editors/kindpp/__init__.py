from .kindpp_net import KinDPlusPlusNet

__all__ = ['KinDPlusPlusNet']

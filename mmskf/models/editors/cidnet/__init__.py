from .cidnet_net import CIDNet

__all__ = ['CIDNet']

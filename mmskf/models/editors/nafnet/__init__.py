from .nafnet_net import NAFNet

__all__ = ['NAFNet']

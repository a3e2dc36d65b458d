from .retinexnet_net import RetinexNet

__all__ = ['RetinexNet']

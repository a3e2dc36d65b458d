from .snr_net import SNRNet

__all__ = ['SNRNet']

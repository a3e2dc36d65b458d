from .drbn_net import DRBNNet

__all__ = ['DRBNNet']

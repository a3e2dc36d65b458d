from .kind_net import KinD

__all__ = ['KinD']

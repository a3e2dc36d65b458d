from .mirnet_v2_net import MIRNetV2

__all__ = ['MIRNetV2']

from .zerodce_net import ZeroDCENet, apply_curves

__all__ = ['ZeroDCENet', 'apply_curves']

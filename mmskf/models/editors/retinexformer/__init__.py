from .retinexformer_net import RetinexformerNet

__all__ = ['RetinexformerNet']

from .hooks import NonFiniteLossHook, PerImageScoresHook, ResetDiscriminatorHook, SaveImagesHook
from .optim_wrapper import Bf16OptimWrapper

__all__ = ['Bf16OptimWrapper', 'NonFiniteLossHook', 'PerImageScoresHook', 'ResetDiscriminatorHook', 'SaveImagesHook']

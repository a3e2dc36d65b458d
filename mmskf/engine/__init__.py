from .hooks import NonFiniteLossHook, PerImageScoresHook, SaveImagesHook

__all__ = ['NonFiniteLossHook', 'PerImageScoresHook', 'SaveImagesHook']

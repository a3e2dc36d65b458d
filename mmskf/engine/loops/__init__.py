from .staged_train_loop import StagedLogProcessor, StagedTrainLoop

__all__ = ['StagedLogProcessor', 'StagedTrainLoop']

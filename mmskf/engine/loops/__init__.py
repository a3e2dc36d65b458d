from .iter_based_train_loop import IterBasedTrainLoop
from .staged_train_loop import StagedLogProcessor, StagedTrainLoop, stage_dataloader

__all__ = ['IterBasedTrainLoop', 'StagedLogProcessor', 'StagedTrainLoop', 'stage_dataloader']

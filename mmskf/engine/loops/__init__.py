from .staged_train_loop import StagedLogProcessor, StagedTrainLoop, stage_dataloader

__all__ = ['StagedLogProcessor', 'StagedTrainLoop', 'stage_dataloader']

"""Hooks for training, validation and testing."""
from .checkpoint_hook import CheckpointHook
from .early_stopping_hook import EarlyStoppingHook
from .interrupt_hook import InterruptHook
from .knowledge_bank_hook import KnowledgeBankHook
from .nonfinite_loss_hook import NonFiniteLossHook
from .param_scheduler_hook import ParamSchedulerHook
from .per_image_scores_hook import PerImageScoresHook
from .prior_cache_hook import PriorCacheHook
from .progressive_patch_hook import ProgressivePatchHook
from .reset_discriminator_hook import ResetDiscriminatorHook
from .save_images_hook import SaveImagesHook
from .seed_each_iteration_hook import SeedEachIterationHook

__all__ = [
    'CheckpointHook', 'EarlyStoppingHook', 'InterruptHook', 'KnowledgeBankHook', 'NonFiniteLossHook', 'ParamSchedulerHook',
    'PerImageScoresHook', 'PriorCacheHook', 'ProgressivePatchHook', 'ResetDiscriminatorHook', 'SaveImagesHook',
    'SeedEachIterationHook'
]

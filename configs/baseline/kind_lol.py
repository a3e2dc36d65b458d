_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol_stretched.py', '../_base_/models/kind.py',
    '../_base_/schedules/kind.py'
]
_base_.train_dataloader.dataset.pipeline[3].crop_size = 384

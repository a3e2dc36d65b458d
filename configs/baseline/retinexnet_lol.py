_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/retinexnet.py',
    '../_base_/schedules/retinexnet.py'
]
_base_.train_dataloader.dataset.pipeline[2].crop_size = 48
train_dataloader = dict(batch_size=16)

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/hwmnet.py', '../_base_/schedules/hwmnet.py'
]
train_dataloader = dict(batch_size=2)

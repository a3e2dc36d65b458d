# LOL at 256x256 with a small budget: few small crops.
_base_ = '../_base_/methods/llflow.py'
train_dataloader = dict(dataset=_base_.lol256.train)
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 128
val_dataloader = dict(dataset=_base_.lol256.test)
test_dataloader = val_dataloader

train_cfg = dict(max_iters=1500, val_interval=500)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[750, 1125, 1350, 1425], gamma=0.5)]
default_hooks = dict(checkpoint=dict(interval=500))

# LOL at 256x256 with a small budget: few small crops, a larger learning rate.
_base_ = '../_base_/methods/drbn.py'
train_dataloader = dict(batch_size=4, dataset=_base_.lol256.train)
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 96
val_dataloader = dict(dataset=_base_.lol256.test)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=1500, val_interval=500)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[1000], gamma=0.5)]
default_hooks = dict(checkpoint=dict(interval=500))

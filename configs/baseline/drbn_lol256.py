# LOL at 256x256 in 20 minutes on one CPU core: few small crops, a larger learning rate.
_base_ = '../_base_/methods/drbn.py'
train_dataloader = dict(batch_size=2, dataset=_base_.lol256.train)
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 96
val_dataloader = dict(dataset=_base_.lol256.test)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=2000, val_interval=500)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[1333], gamma=0.5)]
default_hooks = dict(checkpoint=dict(interval=500))
auto_scale_lr = dict(base_batch_size=2)

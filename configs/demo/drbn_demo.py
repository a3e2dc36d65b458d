# Trains in minutes on two CPU cores: small crops, a larger learning rate, few iterations.
_base_ = '../_base_/methods/drbn.py'
train_dataloader = dict(num_workers=1, dataset=_base_.paired_folder.train)
val_dataloader = dict(num_workers=1, dataset=_base_.paired_folder.test)
test_dataloader = val_dataloader
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 96
next(hook for hook in _base_.custom_hooks if hook.type == 'mmagic.BasicVisualizationHook').interval.val = 1  # every test image
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=200, val_interval=100)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=200, eta_min=1e-5)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))

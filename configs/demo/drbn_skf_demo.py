# DRBN-SKF with the small knowledge bank that comes with mmskf: takes minutes on two CPU cores.
_base_ = ['../_base_/methods/drbn.py', '../skb/hrnet_w18s_camvid.py']
train_dataloader = dict(num_workers=1, dataset=_base_.paired_folder.train)
val_dataloader = dict(num_workers=1, dataset=_base_.paired_folder.test)
test_dataloader = val_dataloader
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 64
next(hook for hook in _base_.custom_hooks if hook.type == 'mmagic.BasicVisualizationHook').interval.val = 1  # every test image
model = dict(_base_.skf, skb=_base_.skb, sa_loss=dict(_base_.skf.sa_loss, patch_size=32))
optim_wrapper = dict(optimizer=dict(lr=1e-3), discriminator=dict(optimizer=dict(lr=1e-4)))
train_cfg = dict(max_iters=100, val_interval=100)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=100, eta_min=1e-5)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))

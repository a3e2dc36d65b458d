# DRBN-SKF with the small knowledge bank that comes with mmskf: minutes on two CPU cores.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/paired_folder.py', '../_base_/models/drbn_skf.py',
    '../_base_/schedules/drbn_skf.py', '../skb/hrnet_w18s_camvid.py'
]
_base_.custom_hooks[-1].interval.val = 1  # a picture of every test image
_base_.train_dataloader.dataset.pipeline[2].crop_size = 64
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader
model = dict(skb=_base_.skb, sa_loss=dict(patch_size=32))
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)))
train_cfg = dict(max_iters=100, val_interval=100)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=100, eta_min=1e-5)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=100))

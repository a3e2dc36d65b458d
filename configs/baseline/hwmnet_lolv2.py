_base_ = '../_base_/methods/hwmnet.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# 300 epochs of 3445 batches: the 689 pairs are cropped 10 times an epoch.
train_cfg = dict(max_iters=1033500)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1e-3, end=10335),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=10335, end=1033500, T_max=1023165, eta_min=1e-5),
]

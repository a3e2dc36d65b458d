# As HWMNet's authors train on LOL: Adam 5e-5, warmed up for 3 epochs and lowered to 1e-5 along a cosine, 300 epochs of 2425
# batches of 2 (485 pairs, cropped 10 times an epoch).
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=727500, val_interval=5000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1e-3, end=7275),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=7275, end=727500, T_max=720225, eta_min=1e-5),
]
auto_scale_lr = dict(enable=False, base_batch_size=2)

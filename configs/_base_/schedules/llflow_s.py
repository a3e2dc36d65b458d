# As released: Adam 5e-4, halved in iterations 22500, 33750, 40500 and 42750 (counted from 1) of 45000, 16 crops each
# (4 GPUs x 4). Released code trains in float16: --amp.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=45000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[22499, 33749, 40499, 42749], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=16)

# As SNR-LLIE-Net's authors train: Adam 4e-4, halved four times in 600,000 iterations.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[50000, 100000, 200000, 300000], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=32)

# As DRBN's authors train: Adam 1e-4, halved after two thirds, 300 epochs of 970 batches of 4 on LOL.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=291000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[194000], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=4)

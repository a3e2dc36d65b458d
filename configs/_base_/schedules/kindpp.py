# As KinD++'s authors train: Adam 1e-4, batches of 10 patches of 48x48, 48 an epoch on LOL; 2500 epochs of the decomposition,
# 2000 of the adjustment, 2400 of the restoration, where the learning rate is halved after 300, 500 and 1500.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(
    type='StagedTrainLoop',
    stages=[dict(name='decom', iters=120000), dict(name='adjust', iters=96000), dict(name='restore', iters=115200)],
    val_interval=5000)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[216000 + 14400, 216000 + 24000, 216000 + 72000], gamma=0.5)
]
find_unused_parameters = True
auto_scale_lr = dict(enable=False, base_batch_size=10)

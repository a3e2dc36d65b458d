# As RetinexNet's authors train: two stages of 100 epochs of 92 batches of 16 (LOL and synthetic pairs), each with
# Adam 1e-3 for 20 epochs and 1e-4 after. On LOL alone it is the same number of batches.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
train_cfg = dict(
    type='StagedTrainLoop', stages=[dict(name='decom', iters=9200), dict(name='relight', iters=9200)], val_interval=1000)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[1840, 9200 + 1840], gamma=0.1),
    dict(type='MultiStepLR', by_epoch=False, milestones=[9200], gamma=10.),
]
find_unused_parameters = True
auto_scale_lr = dict(enable=False, base_batch_size=16)

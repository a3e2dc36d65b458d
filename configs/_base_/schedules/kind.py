# As KinD's authors train: Adam 1e-4; 2000 epochs of the decomposition and 2000 of the adjustment in batches of 10 patches of
# 48x48; 1000 epochs of the restoration in batches of 4 patches of 384x384, with 5e-5 in the last 200. An epoch of LOL
# has 48 or 121 batches (the authors keep a few pairs for validation).
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(
    type='StagedTrainLoop',
    # Step 3 of the pipeline is RandomCrop.
    stages=[
        dict(name='decom', iters=96000, dataloader=dict(batch_size=10, dataset=dict(pipeline={'3': dict(crop_size=48)}))),
        dict(name='adjust', iters=96000, dataloader=dict(batch_size=10, dataset=dict(pipeline={'3': dict(crop_size=48)}))),
        dict(name='restore', iters=121000),
    ],
    val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[192000 + 96800], gamma=0.5)]
find_unused_parameters = True
auto_scale_lr = dict(enable=False, base_batch_size=4)

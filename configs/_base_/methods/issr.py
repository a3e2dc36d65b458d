_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='ISSREditor',
    # exposure='gt' reproduces the published protocol, which takes the brightness from the ground truth.
    generator=dict(type='ISSRNet', exposure='auto'),
    # Which three classes the authors have is not known. These are chosen for LOL: what is above, what one stands on, all else.
    class_groups=[
        ['sky', 'ceiling', 'light'],
        ['floor', 'ground', 'road', 'sidewalk', 'platform', 'track', 'grass', 'snow', 'water'],
    ],
    recon_loss=dict(
        decom=dict(type='KinDDecomLoss'),
        segment=dict(type='ISSRSegmentLoss'),
        restore=dict(type='KinDRestoreLoss', gradient_weight=0.5, ssim_weight=0.5),
        relight=dict(type='ISSRRelightLoss')))

# Every image is stretched to the full range; scores use the unchanged ground truth.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='StretchRange', keys=['img', 'gt']),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=48),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='StretchRange', keys=['img']),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(batch_size=10, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of ISSR's authors: Adam for 2000, 500, 1000 and 500 epochs, of 48 batches of 10 or 30 of 16 on LOL. The
# decomposition is trained with 1e-3. In the other stages the learning rate is 1e-4 for 50 epochs, then 2e-5, and in the last two
# 1e-5 from epoch 400 and 200 on.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
large_patches = dict(RandomCrop=dict(crop_size=128))
train_cfg = dict(
    type='StagedTrainLoop',
    stages=[
        dict(name='decom', iters=96000),
        dict(name='segment', iters=15000, dataloader=dict(batch_size=16, dataset=dict(pipeline=large_patches))),
        dict(name='restore', iters=48000),
        dict(name='relight', iters=24000, dataloader=dict(dataset=dict(pipeline=large_patches))),
    ],
    val_interval=5000)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[96000], gamma=0.1),
    dict(type='MultiStepLR', by_epoch=False, milestones=[111000], gamma=5.),
    dict(type='MultiStepLR', by_epoch=False, milestones=[159000], gamma=10.),
    dict(type='MultiStepLR', by_epoch=False, milestones=[96000 + 1500, 111000 + 2400, 159000 + 2400], gamma=0.2),
    dict(type='MultiStepLR', by_epoch=False, milestones=[111000 + 19200, 159000 + 9600], gamma=0.5),
]
auto_scale_lr = dict(enable=False, base_batch_size=10)

_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='KinDEditor',
    # exposure='gt' reproduces the published protocol, which takes the brightness from the ground truth.
    generator=dict(type='KinD', exposure='auto'),
    recon_loss=dict(
        decom=dict(type='KinDDecomLoss'), adjust=dict(type='KinDAdjustLoss'), restore=dict(type='KinDRestoreLoss')))
# The parts that turn it into KinD-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'))),
    # On the restored reflectance SCH has about 10 % of the gradient norm of loss_recon, SA about 20 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))

# Every image is stretched to the full range; scores use the unchanged ground truth.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='StretchRange', keys=['img', 'gt']),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=384),
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
train_dataloader = dict(batch_size=4, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of KinD's authors: Adam 1e-4; 2000 epochs of the decomposition and 2000 of the adjustment in batches of 10
# crops of 48x48; 1000 epochs of the restoration in batches of 4 crops of 384x384, with 5e-5 in the last 200. An epoch of LOL has
# 48 or 121 batches (the authors keep a few pairs for validation).
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
small_patches = dict(batch_size=10, dataset=dict(pipeline=dict(RandomCrop=dict(crop_size=48))))
train_cfg = dict(
    type='StagedTrainLoop',
    stages=[
        dict(name='decom', iters=96000, dataloader=small_patches),
        dict(name='adjust', iters=96000, dataloader=small_patches),
        dict(name='restore', iters=121000),
    ],
    val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[192000 + 96800], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=4)

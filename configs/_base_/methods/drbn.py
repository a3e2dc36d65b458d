_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='DRBNNet'),
    recon_loss=dict(type='PyramidLoss', loss=dict(type='SSIMLoss')))
# The parts that turn it into DRBN-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'), gelu='tanh')),
    # On the enhanced image SCH has 8 to 13 % of the gradient norm of loss_recon, SA about 20 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=3.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=256),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(batch_size=4, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of DRBN's authors: Adam 1e-4, halved after two thirds, 300 epochs of 970 batches of 4 on LOL.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=291000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[194000], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=4)

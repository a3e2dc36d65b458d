_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='RetinexformerNet'),
    recon_loss=dict(type='L1Loss'),
    data_preprocessor=dict(type='MixUpPreprocessor'))
# The parts that turn it into Retinexformer-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual', expansion=1)),
    # On the enhanced image SCH has about 15 % of the gradient norm of loss_recon, SA about 15 % (gradient_share.py --warm-up 100,
    # crops of 64x64, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.005),
    discriminator=dict(type='SADiscriminator'))

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=128),
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
train_dataloader = dict(batch_size=8, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of Retinexformer's authors: Adam for 150,000 iterations, two cosine cycles. The first rises from 2e-4 to 3e-4,
# the second starts at 2e-4 again, one iteration late.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.999)), clip_grad=dict(max_norm=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150000, val_interval=5000)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=False, end=46000, T_max=46000, eta_min=3e-4),
    dict(type='MultiStepLR', by_epoch=False, milestones=[46001], gamma=2 / 3),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=46000, end=150000, T_max=104000, eta_min=1e-6),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)

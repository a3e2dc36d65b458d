_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='MIRNetV2'),
    recon_loss=dict(type='L1Loss'),
    data_preprocessor=dict(type='MixUpPreprocessor'))
# The parts that turn it into MIRNet-v2-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual', expansion=1)),
    # On the enhanced image SCH has about 11 % of the gradient norm of loss_recon, SA about 13 % (gradient_share.py --warm-up 20,
    # crops of 64x64, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.005),
    discriminator=dict(type='SADiscriminator'))

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=384),
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

# Training schedule of MIRNet-v2's authors on 8 GPUs: Adam for 150,000 iterations, patches that grow while batches shrink, and two
# cosine cycles. The first rises from 2e-4 to 3e-4, the second starts at 2e-4 again, one iteration late.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.999)), clip_grad=dict(max_norm=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150000, val_interval=5000)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=False, end=46000, T_max=46000, eta_min=3e-4),
    dict(type='MultiStepLR', by_epoch=False, milestones=[46001], gamma=2 / 3),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=46000, end=150000, T_max=104000, eta_min=1e-6),
]
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='ProgressivePatchHook', phases=[
        dict(iters=46000, batch_size=8, patch_size=128),
        dict(iters=32000, batch_size=5, patch_size=160),
        dict(iters=24000, batch_size=4, patch_size=192),
        dict(iters=18000, batch_size=2, patch_size=256),
        dict(iters=18000, batch_size=1, patch_size=320),
        dict(iters=12000, batch_size=1, patch_size=384),
    ]),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)

_base_ = ['../default_runtime.py', '../datasets.py']

# The denoising network of Restormer's authors.
model = dict(
    type='SKFEditor',
    generator=dict(type='SEWrapper', net=dict(type='mmagic.Restormer', LayerNorm_type='BiasFree'), size_divisor=8),
    recon_loss=dict(type='L1Loss'))
# The parts that turn it into Restormer-SKF: SE modules after the decoder's levels at 1/4, 1/2 and 1/1.
skf = dict(
    generator=dict(
        se=dict(
            type='SEModule', modules=('decoder_level3', 'decoder_level2', 'decoder_level1'), sources=(2, 1, 0))),
    # On the enhanced image SCH has about 13 % of the gradient norm of loss_recon, SA about 13 % (gradient_share.py --warm-up 100,
    # crops of 64x64, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.004),
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

# Training schedule of Restormer's authors: AdamW 3e-4, decayed to 1e-6 along a cosine from 46,000 on; but with half as many
# iterations (theirs are 300,000), since LOL has 485 pairs, and with training crops of 128x128 throughout, where theirs grow to
# 384x384. D is trained as for the other methods.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.999), weight_decay=1e-4),
    clip_grad=dict(max_norm=0.01),
    discriminator=dict(optimizer=dict(type='Adam', lr=1e-4, weight_decay=0), clip_grad=None))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150000, val_interval=5000)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=46000, end=150000, T_max=104000, eta_min=1e-6)]
auto_scale_lr = dict(enable=False, base_batch_size=8)

_base_ = ['../default_runtime.py', '../datasets.py']

# The 32-channel denoising network of NAFNet's authors (SIDD).
model = dict(
    type='SKFEditor',
    generator=dict(
        type='SEWrapper',
        net=dict(
            type='NAFNet', mid_channels=32, enc_blk_nums=[2, 2, 4, 8], middle_blk_num=12, dec_blk_nums=[2, 2, 2, 2])),
    recon_loss=dict(type='PSNRLoss'))
# The parts that turn it into NAFNet-SKF: SE modules after the decoder's stages at 1/4, 1/2 and 1/1.
skf = dict(
    generator=dict(se=dict(type='SEModule', modules=('decoders.1', 'decoders.2', 'decoders.3'), sources=(2, 1, 0))),
    # On the enhanced image SCH has about 12 % of the gradient norm of loss_recon, SA about 14 % (gradient_share.py --warm-up 100,
    # crops of 64x64, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=20.),
    sa_loss=dict(type='SALoss', loss_weight=0.3),
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
train_dataloader = dict(batch_size=8, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# mmagic's training schedule of NAFNet on SIDD: AdamW 1e-3, decayed to 1e-7 along a cosine, 32 crops of 256x256 (4 GPUs x 8); but
# with 100,000 iterations, not 400,000, since LOL has 485 pairs. D is trained as for the other methods.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.9), weight_decay=1e-3),
    discriminator=dict(optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999), weight_decay=0)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=100000, val_interval=5000)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=100000, eta_min=1e-7)]
auto_scale_lr = dict(enable=False, base_batch_size=32)

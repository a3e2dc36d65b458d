_base_ = ['../default_runtime.py', '../datasets.py']

# The U-Net of segmentation_models.pytorch with a ResNet-34 encoder, not pretrained; it predicts a residual.
model = dict(
    type='SKFEditor',
    generator=dict(
        type='SEWrapper',
        net=dict(type='segmentation_models_pytorch.Unet', encoder_name='resnet34', encoder_weights=None, classes=3),
        size_divisor=32,
        residual=True),
    recon_loss=dict(type='L1Loss'))
# The parts that turn it into U-Net-SKF: SE modules after the decoder's blocks at 1/4, 1/2 and 1/1.
skf = dict(
    generator=dict(
        se=dict(
            type='SEModule', modules=('decoder.blocks.2', 'decoder.blocks.3', 'decoder.blocks.4'), sources=(2, 1, 0))),
    # On the enhanced image SCH has about 11 % of the gradient norm of loss_recon, SA about 12 % (gradient_share.py --warm-up 100,
    # crops of 64x64, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.01),
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

# There is no training recipe for LOL: that of Retinexformer's authors, 150,000 batches of 8 crops of 128x128, but Adam 2e-4
# decayed to 1e-6 along one cosine. D is trained as for the other methods.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=2e-4, betas=(0.9, 0.999)),
    discriminator=dict(optimizer=dict(lr=1e-4)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150000, val_interval=5000)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=150000, eta_min=1e-6)]
auto_scale_lr = dict(enable=False, base_batch_size=8)

_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='CIDNet'),
    # Its perceptual term needs torchvision's VGG19, from torchvision's cache or vgg_weights=PATH.
    recon_loss=dict(type='CIDNetLoss'))
# The parts that turn it into HVI-CIDNet-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 2, 1, 1, 0, 0), ffn='dual', expansion=1)),
    # On the enhanced image SCH has about 10 % of the gradient norm of loss_recon, SA about 12 % (gradient_share.py --warm-up 40,
    # crops of 64x64, with the small knowledge bank, without the perceptual term).
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.15),
    discriminator=dict(type='SADiscriminator'))

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=256),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
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

# Training schedule of HVI-CIDNet's authors: Adam for 1000 epochs of 61 batches, epoch by epoch with 1/3, 1/3, 2/3 and all of
# 1e-4, then along a cosine to 1e-7. Their own first epoch has a learning rate of 0.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=61000, val_interval=5000)
param_scheduler = [
    dict(type='ConstantLR', by_epoch=True, factor=1 / 3, end=2),
    dict(type='LinearLR', by_epoch=True, start_factor=1 / 3, begin=1, end=4),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=4, end=1000, T_max=997, eta_min=1e-7),
]
default_hooks = dict(param_scheduler=dict(epoch_length=61))
auto_scale_lr = dict(enable=False, base_batch_size=8)

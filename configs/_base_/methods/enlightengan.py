_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='EnlightenGANEditor',
    generator=dict(type='EnlightenGANNet'),
    # Needs the weights of torchvision's VGG16: weights='vgg16-397923af.pth'; by default the file in its cache.
    recon_loss=dict(type='SelfFeatureLoss'),
    adversarial_loss=dict(type='GlobalLocalGANLoss'),
    discriminator=dict(type='GlobalLocalDiscriminator'))

# 'gt' are normal-light images of other scenes. Both are cropped and mirrored separately, then mirrored together.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt'),
    dict(type='RandomCrop', keys=['img'], crop_size=320),
    dict(type='RandomCrop', keys=['gt'], crop_size=320),
    dict(type='mmagic.Flip', keys=['img'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
# The images of LOL, but not its pairs: the normal-light image is a random one.
train_dataloader = dict(
    batch_size=32,
    dataset=dict(**_base_.lol.train, type='UnpairedDataset', random_partner=True, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of EnlightenGAN's authors: Adam 1e-4 for 100 epochs, then linearly to 0 in 100, changing by epoch; an epoch of
# LOL has 16 batches. Both discriminators are trained alike.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3200, val_interval=320)
param_scheduler = [dict(type='LinearLR', by_epoch=True, begin=100, end=200, start_factor=1, end_factor=0.01)]
default_hooks = dict(param_scheduler=dict(epoch_length=16))
auto_scale_lr = dict(enable=False, base_batch_size=32)

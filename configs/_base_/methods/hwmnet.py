_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='HWMNet'),
    recon_loss=dict(type='CharbonnierLoss', eps=1e-6))
# The parts that turn it into HWMNet-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual', expansion=1)),
    # On the enhanced image SCH has about 12 % of the gradient norm of loss_recon, SA 9 to 18 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=0.3),
    sa_loss=dict(type='SALoss', loss_weight=0.01),
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
train_dataloader = dict(batch_size=2, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of HWMNet's authors on LOL: Adam, epoch by epoch with 1/3, 2/3 and all of 5e-5, then along a cosine to 1e-5;
# 300 epochs of 2425 batches of 2 (485 pairs, cropped 10 times per epoch).
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-5, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=727500, val_interval=5000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=True, start_factor=1 / 3, end=3),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=3, end=300, eta_min=1e-5),
]
default_hooks = dict(param_scheduler=dict(epoch_length=2425))
auto_scale_lr = dict(enable=False, base_batch_size=2)

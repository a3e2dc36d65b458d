_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(type='SKFEditor', generator=dict(type='ZeroDCENet'), recon_loss=dict(type='ZeroDCELoss'))
# The parts that turn it into Zero-DCE-SKF. There is no decoder for SE modules.
skf = dict(
    # On the enhanced image SCH has about 11 % of the gradient norm of loss_recon, SA about 19 % (gradient_share.py, with the
    # weights of Zero-DCE's authors and the small knowledge bank, batches of 2).
    sch_loss=dict(type='SCHLoss', loss_weight=2.5),
    sa_loss=dict(type='SALoss', loss_weight=0.05),
    discriminator=dict(type='SADiscriminator'))

# Training needs no ground truth. Images are squeezed to 256x256, whatever their aspect ratio.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='mmagic.Resize', keys=['img'], scale=(256, 256), interpolation='lanczos', backend='pillow'),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(
    batch_size=8,
    dataset=dict(**dict(_base_.lol.train, data_prefix=dict(img=_base_.lol.train.data_prefix.img)), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of Zero-DCE's authors: Adam 1e-4 for 200 epochs, 61 batches of 8 each on LOL.
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4), clip_grad=dict(max_norm=0.1))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=12200, val_interval=1000)
param_scheduler = []
auto_scale_lr = dict(enable=False, base_batch_size=8)

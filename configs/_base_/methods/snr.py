_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='SKFEditor',
    generator=dict(type='SNRNet'),
    recon_loss=dict(type='CharbonnierLoss', reduction='sum', eps=1e-6))
# The parts that turn it into SNR-LLIE-Net-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0), ffn='dual')),
    # The scale of the baseline's sum at its batch of 32 crops of 128x128, for any batch, so that SCH and SA keep their shares.
    # (With a plain mean the gradients of some layers would be as small as Adam's eps.)
    recon_loss=dict(reduction='mean', loss_weight=32 * 3 * 128 * 128.),
    # On the enhanced image SCH has 9 to 11 % of the gradient norm of loss_recon and SA 10 to 12 %, on whole images 5 %
    # (after 25 iterations, with the small knowledge bank).
    sch_loss=dict(type='SCHLoss', loss_weight=5e5),
    sa_loss=dict(type='SALoss', loss_weight=4e4),
    discriminator=dict(type='SADiscriminator'))

# Training crops of 128x128; flips, no transposition.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=128),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(batch_size=32, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# Training schedule of SNR-LLIE-Net's authors: Adam 4e-4, halved in iterations 50000, 100000, 200000 and 300000 (counted from 1)
# of 600000.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[49999, 99999, 199999, 299999], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=32)

_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='StagedEditor',
    generator=dict(type='RetinexNet'),
    recon_loss=dict(decom=dict(type='RetinexNetDecomLoss'), relight=dict(type='RetinexNetRelightLoss')))
# The parts that turn it into RetinexNet-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # On the enhanced image SCH has about 13 % of the gradient norm of loss_recon, SA about 19 % (gradient_share.py).
    sch_loss=dict(type='SCHLoss', loss_weight=0.4),
    sa_loss=dict(type='SALoss', loss_weight=0.004),
    discriminator=dict(type='SADiscriminator'))

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=48),
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
train_dataloader = dict(batch_size=16, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader
# The knowledge bank, used in the last stage, needs training crops larger than 48x48.
skf_patches = dict(dataset=dict(pipeline=dict(RandomCrop=dict(crop_size=96))))

# Training schedule of RetinexNet's authors: two stages of 100 epochs of 92 batches of 16 (LOL and synthetic pairs), each with
# Adam 1e-3 for 20 epochs and 1e-4 after. On LOL alone it is the same number of batches.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.999)))
train_cfg = dict(
    type='StagedTrainLoop', stages=[dict(name='decom', iters=9200), dict(name='relight', iters=9200)], val_interval=1000)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[1840, 9200 + 1840], gamma=0.1),
    dict(type='MultiStepLR', by_epoch=False, milestones=[9200], gamma=10.),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)

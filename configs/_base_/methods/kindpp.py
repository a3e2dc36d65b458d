_base_ = ['../default_runtime.py', '../datasets.py']

model = dict(
    type='KinDEditor',
    # exposure='gt' reproduces the published protocol, which takes the brightness from the ground truth.
    generator=dict(type='KinDPlusPlus', exposure='auto'),
    recon_loss=dict(
        decom=dict(type='KinDDecomLoss', equal_reflectance_weight=0.009),
        adjust=dict(type='KinDAdjustLoss', magnitude=False),
        restore=dict(type='KinDRestoreLoss', gradient_weight=0.)))
# The parts that turn it into KinD++-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # KinD's weights. On the restored reflectance SCH has 5.7 % of the gradient norm of loss_recon, the local SA 10.6 %
    # (gradient_share.py, 3 batches of 2 crops of 96x96, hrnet_w18s_camvid), after a training of only 60, 30 and 20 iterations;
    # with random weights it was 151 % and 117 %. Measure again with a fully trained network.
    sch_loss=dict(type='SCHLoss', loss_weight=6.),
    sa_loss=dict(type='SALoss', loss_weight=0.1),
    discriminator=dict(type='SADiscriminator'))

# Every image is stretched to the full range; scores use the unchanged ground truth.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='StretchRange', keys=['img', 'gt']),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=48),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='StretchRange', keys=['img']),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(batch_size=10, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader
# The knowledge bank, used in the last stage, needs training crops larger than 48x48.
skf_patches = dict(dataset=dict(pipeline=dict(RandomCrop=dict(crop_size=96))))

# Training schedule of KinD++'s authors: Adam 1e-4, batches of 10 crops of 48x48, 48 per epoch on LOL; 2500 epochs of the
# decomposition, 2000 of the adjustment, 2400 of the restoration, where the learning rate is halved after 300, 500 and 1500.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999)))
train_cfg = dict(
    type='StagedTrainLoop',
    stages=[dict(name='decom', iters=120000), dict(name='adjust', iters=96000), dict(name='restore', iters=115200)],
    val_interval=5000)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[216000 + 14400, 216000 + 24000, 216000 + 72000], gamma=0.5)
]
auto_scale_lr = dict(enable=False, base_batch_size=10)

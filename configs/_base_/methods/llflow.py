_base_ = ['../default_runtime.py', '../datasets.py']

# LLFlow-S.
model = dict(type='LLFlow', generator=dict(type='LLFlowNet'), recon_loss=dict(type='FlowNLLLoss'))
# The parts that turn it into LLFlow-S-SKF.
skf = dict(
    generator=dict(se=dict(type='SEModule', sources=(2, 1, 0))),
    # On the latent image SCH has 10 % of the gradient norm of loss_recon (gradient_share.py, after 120 iterations).
    sch_loss=dict(type='SCHLoss', loss_weight=2.))
# The changes that turn LLFlow-S into LLFlow-L, and LLFlow-S-SKF into LLFlow-L-SKF.
large = dict(width=64, num_blocks=24, kept_blocks=(1, 3, 5, 7), steps=12)
large_se = dict(bottleneck=192, expansion=1)
large_skf = dict(large, se=dict(skf['generator']['se'], **large_se))

# The equalized image is part of LLFlow's input; its histogram is that of the whole image, so it comes before the crop.
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='AppendEqualized'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=160),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='AppendEqualized'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(batch_size=4, dataset=dict(**_base_.lol.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# As released: Adam 5e-4, halved in iterations 22500, 33750, 40500 and 42750 (counted from 1) of 45000, 16 crops each. The
# released code uses one GPU for all 16; here the batch size is 4 per GPU, the same total on 4 GPUs. It trains in float16: --amp.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4, betas=(0.9, 0.999)))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=45000, val_interval=5000)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[22499, 33749, 40499, 42749], gamma=0.5)]
auto_scale_lr = dict(enable=False, base_batch_size=16)

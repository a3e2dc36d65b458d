_base_ = ['../default_runtime.py', '../datasets.py']

# A small NAFNet for photos from any camera.
model = dict(
    type='SKFEditor',
    generator=dict(
        type='SEWrapper',
        net=dict(
            type='NAFNet', mid_channels=16, enc_blk_nums=[1, 1, 1, 2], middle_blk_num=1, dec_blk_nums=[1, 1, 1, 1])),
    recon_loss=dict(type='L1Loss'))
# The parts that turn it into NAFNet-S-SKF: SE modules after the decoder's stages at 1/8, 1/4 and 1/2; at 1/1 one would cost more
# than the rest of this network.
skf = dict(
    generator=dict(se=dict(type='SEModule', modules=('decoders.0', 'decoders.1', 'decoders.2'), sources=(2, 1, 0))),
    sch_loss=dict(type='SCHLoss', loss_weight=0.3))

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
# LOL at 256x256, whose noise is averaged down; full-size pairs with sensor noise; pairs synthesized from ordinary photos.
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        ignore_keys='num_images',
        datasets=[
            dict(type='EnhancementDataset', **_base_.lol256.train, pipeline=train_pipeline),
            dict(type='mmengine.RepeatDataset', times=4, dataset=dict(
                type='EnhancementDataset',
                **dict(_base_.paired_folder.train, data_root='data/real_pairs'),
                pipeline=train_pipeline)),
            dict(
                type='EnhancementDataset',
                **dict(_base_.paired_folder.train, data_root='data/synthetic'),
                pipeline=train_pipeline),
        ]))
val_dataloader = dict(dataset=dict(**_base_.lol256.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# A budget for two CPU cores.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.9), weight_decay=1e-4),
    clip_grad=dict(max_norm=1.))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=4000, T_max=3900, eta_min=1e-6)]
auto_scale_lr = dict(enable=False, base_batch_size=8)

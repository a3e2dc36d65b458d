# LOL (v1): 485 training and 15 test pairs, 600x400, the same file name on both sides.
data_root = 'data/LOL'
crop_size = 256

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=crop_size),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='vertical'),
    dict(type='mmagic.RandomTransposeHW', keys=['img', 'gt'], transpose_ratio=0.5),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]
test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='EnhancementDataset',
        metainfo=dict(num_images=485),
        data_root=data_root,
        data_prefix=dict(img='our485/low', gt='our485/high'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='EnhancementDataset',
        metainfo=dict(num_images=15),
        data_root=data_root,
        data_prefix=dict(img='eval15/low', gt='eval15/high'),
        pipeline=test_pipeline,
        test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='Evaluator', metrics=[dict(type='PSNR'), dict(type='SSIM'), dict(type='LPIPS'), dict(type='NIQE')])
test_evaluator = val_evaluator

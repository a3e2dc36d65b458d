# Trains the small SKB: HRNet-W18-small with an FCN head on CamVid, from scratch, as an mmsegmentation training.
# An SKB sees dark, noisy photos: half of the crops are darkened (gamma, then exposure, then sensor noise).
_base_ = ['mmseg::_base_/models/fcn_hr18.py', 'mmseg::_base_/default_runtime.py']

VOID = 11
CLASSES = ('sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist')
PALETTE = [[128, 128, 128], [128, 0, 0], [192, 192, 128], [128, 64, 128], [60, 40, 222], [128, 128, 0], [192, 128, 128],
           [64, 64, 128], [64, 0, 128], [64, 64, 0], [0, 128, 192]]

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(192, 256), seg_pad_val=VOID),
    backbone=dict(
        norm_cfg=norm_cfg,
        extra=dict(
            stage1=dict(num_blocks=(2, )),
            stage2=dict(num_blocks=(2, 2)),
            stage3=dict(num_modules=3, num_blocks=(2, 2, 2)),
            stage4=dict(num_modules=2, num_blocks=(2, 2, 2, 2)))),
    decode_head=dict(
        num_classes=len(CLASSES),
        norm_cfg=norm_cfg,
        ignore_index=VOID,
        # Only pixels predicted with low confidence count: the thin classes (poles, signs, people) are rare.
        sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=10000)))

# PhotoMetricDistortion scales the contrast of half of the images: without its other distortions this is an exposure change.
exposure = dict(
    type='PhotoMetricDistortion', brightness_delta=0, contrast_range=(0.15, 0.9), saturation_range=(1, 1), hue_delta=1)
darken = [
    dict(type='RandomChoice', transforms=[[dict(type='AdjustGamma', gamma=gamma)] for gamma in (1.0, 0.7, 0.5, 0.35)]),
    exposure,
    exposure,
    dict(
        type='mmagic.RandomNoise',
        keys=['img'],
        params=dict(
            prob=0.7, noise_type=['gaussian'], noise_prob=[1], gaussian_sigma=[0.5, 8], gaussian_gray_noise_prob=0.2))
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(480, 360), ratio_range=(0.54, 1.1), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(192, 256), cat_max_ratio=0.75, ignore_index=VOID),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='RandomApply', transforms=darken, prob=0.5),
    dict(type='PackSegInputs')
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]

dataset = dict(
    type='BaseSegDataset',
    data_root='data/camvid',
    metainfo=dict(classes=CLASSES, palette=PALETTE),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    ignore_index=VOID)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(data_prefix=dict(img_path='train', seg_map_path='trainannot'), pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix=dict(img_path='val', seg_map_path='valannot'), pipeline=test_pipeline, **dataset))
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix=dict(img_path='test', seg_map_path='testannot'), pipeline=test_pipeline, **dataset))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=VOID)
test_evaluator = val_evaluator

ITERATIONS = 4000
train_cfg = dict(type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.02), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, begin=0, end=300, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=300, end=ITERATIONS, by_epoch=False)
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
randomness = dict(seed=0)

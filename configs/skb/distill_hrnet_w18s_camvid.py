# Teaches the small knowledge bank to see in the dark: on pairs, without labels, the prior of the low-light image is drawn towards
# the one that the bank had for the normal-light image.
_base_ = ['../_base_/default_runtime.py', '../_base_/datasets.py', 'hrnet_w18s_camvid.py']
_base_.skb.checkpoint = 'mmskf://models/skb/weights/hrnet_w18s_camvid_f16.pth'
model = dict(type='BankDistiller', skb=_base_.skb)

train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=160),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        ignore_keys='num_images',
        datasets=[
            dict(type='EnhancementDataset', **_base_.lol256.train, pipeline=train_pipeline),
            *(dict(
                type='EnhancementDataset',
                **dict(_base_.paired_folder.train, data_root=root),
                pipeline=train_pipeline) for root in ('data/real_pairs', 'data/synthetic')),
        ]))
val_cfg = val_dataloader = val_evaluator = test_cfg = test_dataloader = test_evaluator = None
visualizer = None
custom_hooks = [dict(type='NonFiniteLossHook'), dict(type='SeedEachIterationHook')]

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=3e-4, weight_decay=0.01), clip_grad=dict(max_norm=5.))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=500)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=500, T_max=450, eta_min=1e-6)]

# A small NAFNet-SKF for photos from any camera: trained on LOL at 256x256 (noise is averaged down), on full-size pairs with
# sensor noise, and on pairs synthesized from ordinary photos (nafnet/README.md).
_base_ = ['../_base_/methods/nafnet.py', '../skb/hrnet_w18s_camvid.py']
model = dict(
    generator=dict(
        net=dict(mid_channels=16, enc_blk_nums=[1, 1, 1, 2], middle_blk_num=1, dec_blk_nums=[1, 1, 1, 1]),
        # At 1/8, 1/4 and 1/2: at 1/1 an SE module costs more than the rest of this network.
        se=dict(type='SEModule', modules=('decoders.0', 'decoders.1', 'decoders.2'), sources=(2, 1, 0))),
    recon_loss=dict(_delete_=True, type='mmagic.L1Loss'),
    skb=_base_.skb,
    sch_loss=dict(type='SCHLoss', loss_weight=0.3))

next(step for step in _base_.train_pipeline if step.type == 'RandomCrop').crop_size = 128
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        _delete_=True,
        type='mmengine.ConcatDataset',
        ignore_keys='num_images',
        datasets=[
            dict(type='EnhancementDataset', **_base_.lol256.train, pipeline=_base_.train_pipeline),
            dict(type='mmengine.RepeatDataset', times=4, dataset=dict(
                type='EnhancementDataset',
                **dict(_base_.paired_folder.train, data_root='data/real_pairs'),
                pipeline=_base_.train_pipeline)),
            dict(
                type='EnhancementDataset',
                **dict(_base_.paired_folder.train, data_root='data/synthetic'),
                pipeline=_base_.train_pipeline),
        ]))
val_dataloader = dict(dataset=dict(**_base_.lol256.test))
test_dataloader = val_dataloader

# A budget for two CPU cores.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.9), weight_decay=1e-4),
                     clip_grad=dict(max_norm=1.))
train_cfg = dict(max_iters=4000, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=4000, T_max=3900, eta_min=1e-6)]
auto_scale_lr = dict(base_batch_size=8)

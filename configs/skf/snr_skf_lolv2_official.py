_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real.py', '../_base_/datasets/snr_pipelines.py',
    '../_base_/models/snr_skf_official.py', '../_base_/schedules/snr.py', '../skb/hrnet_w48_pascal_context_official.py'
]
model = dict(
    skb=_base_.skb,
    # Training starts from the authors' LOLv2_real.pth, converted by tools/model_converters/official_to_mmskf.py snr.
    generator=dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/snr_lolv2.pth', prefix='generator')))
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.snr_crop_pipeline))
auto_scale_lr = dict(base_batch_size=16)

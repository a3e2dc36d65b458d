_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real.py', '../_base_/datasets/snr_pipelines.py',
    '../_base_/models/snr.py', '../_base_/schedules/snr.py'
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.snr_stretch_pipeline))
auto_scale_lr = dict(base_batch_size=4)

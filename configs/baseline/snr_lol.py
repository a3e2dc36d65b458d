_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/datasets/snr_pipelines.py',
    '../_base_/models/snr.py', '../_base_/schedules/snr.py'
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=_base_.snr_crop_pipeline))

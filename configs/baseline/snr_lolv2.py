_base_ = '../_base_/methods/snr.py'
# Whole images, resized to multiples of 16, instead of crops.
train_pipeline = [
    dict(type='mmagic.Resize', keys=['img', 'gt'], scale=(608, 400)) if step.type == 'RandomCrop' else step
    for step in _base_.train_pipeline
]
train_dataloader = dict(batch_size=4, dataset=dict(**_base_.lolv2_real.train, pipeline=train_pipeline))
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
auto_scale_lr = dict(base_batch_size=4)

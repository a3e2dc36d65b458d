# The unchanged low-light image. The other configs in this folder are this one with another method.
_base_ = ['../_base_/default_runtime.py', '../_base_/datasets.py']

model = dict(type='SimpleEditor', generator=dict(type='Identity'))

test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = None  # without weights there is nothing to train
val_dataloader = dict(dataset=dict(**_base_.lol.test, pipeline=test_pipeline))
test_dataloader = val_dataloader

# The equalised image is part of LLFlow's input; its histogram is that of the whole image, so that it stands before the crop.
llflow_train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='AppendEqualized'),
    dict(type='RandomCrop', keys=['img', 'gt'], crop_size=160),
    dict(type='mmagic.Flip', keys=['img', 'gt'], flip_ratio=0.5, direction='horizontal'),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]
llflow_test_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='AppendEqualized'),
    dict(type='mmagic.PackInputs', meta_keys=['key']),
]

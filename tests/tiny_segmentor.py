"""An HRNet that is small enough for tests, as a segmentor of mmsegmentation."""
BACKBONE = dict(
    type='mmseg.HRNet',
    norm_cfg=dict(type='BN'),
    extra=dict(
        stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(1, ), num_channels=(8, )),
        stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(1, 1), num_channels=(4, 8)),
        stage3=dict(num_modules=2, num_branches=3, block='BASIC', num_blocks=(1, 1, 1), num_channels=(4, 8, 16)),
        stage4=dict(num_modules=1, num_branches=4, block='BASIC', num_blocks=(1, 1, 1, 1), num_channels=(4, 8, 16, 32))))
HEAD = dict(
    type='mmseg.FCNHead',
    in_channels=(4, 8, 16, 32),
    in_index=(0, 1, 2, 3),
    input_transform='resize_concat',
    channels=60,
    kernel_size=1,
    num_convs=1,
    concat_input=False,
    dropout_ratio=-1,
    num_classes=5,
    norm_cfg=dict(type='BN'),
    loss_decode=dict(type='mmseg.CrossEntropyLoss'))
SEGMENTOR = dict(
    type='mmseg.EncoderDecoder',
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=BACKBONE,
    decode_head=HEAD)

# The knowledge bank of SKF's released code: the HRNet authors' network and weights. Convert their
# hrnet_w48_pascal_context_cls59_480x480.pth by tools/model_converters/official_to_mmskf.py hrnet_w48_pascal59 SRC DST.
skb = dict(
    type='SemanticKnowledgeBank',
    config='mmseg::hrnet/fcn_hr48_4xb4-80k_pascal-context-59-480x480.py',
    model=dict(
        backbone=dict(type='mmskf.HRNet', resize_once=True, align_corners=True),
        decode_head=dict(type='mmskf.FCNHead', conv_bias=True, upsample_factor=4, align_corners=True)),
    checkpoint='checkpoints/hrnet_w48_pascal59.pth',
    mean_std=None)  # The released code does not normalize the image, although the network was trained with mean and std.

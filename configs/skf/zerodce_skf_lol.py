# SCH and SA compare with the normal-light images of LOL, which Zero-DCE itself does not use.
_base_ = ['../_base_/methods/zerodce.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb)
train_pipeline = [
    dict(type='LoadImage', key='img'),
    dict(type='LoadImage', key='gt', same_size_as='img'),
    dict(type='mmagic.Resize', keys=['img', 'gt'], scale=(256, 256), interpolation='lanczos', backend='pillow'),
    dict(type='PackInputs', meta_keys=['key']),
]
train_dataloader = dict(dataset=dict(data_prefix=_base_.lol.train.data_prefix, pipeline=train_pipeline))

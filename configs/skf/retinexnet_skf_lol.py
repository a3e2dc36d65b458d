_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/retinexnet_skf.py',
    '../_base_/schedules/retinexnet_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
_base_.train_dataloader.dataset.pipeline[2].crop_size = 96
train_dataloader = dict(batch_size=16)

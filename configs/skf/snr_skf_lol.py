_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/snr_skf.py',
    '../_base_/schedules/snr_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
# As the baseline on these data: crops of 128x128, flipped but never transposed.
_base_.train_dataloader.dataset.pipeline[2].crop_size = 128
_base_.train_dataloader.dataset.pipeline.pop(5)
train_dataloader = dict(batch_size=32)

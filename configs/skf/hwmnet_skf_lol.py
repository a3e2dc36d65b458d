_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/hwmnet_skf.py',
    '../_base_/schedules/hwmnet_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
train_dataloader = dict(batch_size=2)

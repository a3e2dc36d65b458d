_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real.py', '../_base_/models/drbn_skf.py',
    '../_base_/schedules/drbn_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
# As the baseline on these data.
train_cfg = dict(max_iters=258300)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[172200], gamma=0.5)]

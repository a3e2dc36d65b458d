_base_ = ['../_base_/methods/llflow.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb, generator=_base_.large_skf)
# As released for LLFlow-L-SKF: 30000 iterations, with a warm-up in the first 200.
train_cfg = dict(max_iters=30000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end=200),
    dict(type='MultiStepLR', by_epoch=False, milestones=[14999, 22499, 26999, 28499], gamma=0.5),
]

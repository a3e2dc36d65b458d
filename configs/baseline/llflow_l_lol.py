_base_ = '../_base_/methods/llflow.py'
model = dict(generator=_base_.large)
# As released for LLFlow-L on LOL: 40000 iterations, with a warm-up in the first 3000.
train_cfg = dict(max_iters=40000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 3000, end=3000),
    dict(type='MultiStepLR', by_epoch=False, milestones=[19999, 29999, 35999, 37999], gamma=0.5),
]

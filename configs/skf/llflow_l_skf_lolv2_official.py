_base_ = './llflow_s_skf_lol_official.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
model = dict(generator=dict(_base_.large, se=_base_.large_se))
# As released for LLFlow-L-SKF: 30000 iterations. The warm-up ends one step early, so the learning rate stays at 199/200 of
# its intended value.
train_cfg = dict(max_iters=30000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end_factor=199 / 200, end=199),
    dict(type='MultiStepLR', by_epoch=False, milestones=[14999, 22499, 26999, 28499], gamma=0.5),
]

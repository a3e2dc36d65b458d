_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real.py', '../_base_/models/drbn.py',
    '../_base_/schedules/drbn.py'
]
# 300 epochs of 861 batches: the 689 pairs are repeated 5 times an epoch.
train_cfg = dict(max_iters=258300)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[172200], gamma=0.5)]

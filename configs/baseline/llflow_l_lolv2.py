_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_llflow.py', '../_base_/models/llflow_l.py',
    '../_base_/schedules/llflow_l.py'
]
model = dict(train_gt_ratio=0.5)
# On these data 200 iterations warm up.
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end=200), _base_.param_scheduler[1]]

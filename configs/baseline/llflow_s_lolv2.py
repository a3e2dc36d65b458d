_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_llflow.py', '../_base_/models/llflow_s.py',
    '../_base_/schedules/llflow_s.py'
]
model = dict(train_gt_ratio=0.5)

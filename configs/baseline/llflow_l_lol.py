_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol_llflow.py', '../_base_/models/llflow_l.py',
    '../_base_/schedules/llflow_l.py'
]

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol_llflow.py', '../_base_/models/llflow_s.py',
    '../_base_/schedules/llflow_s.py'
]

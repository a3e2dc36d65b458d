_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol_llflow_official.py',
    '../_base_/models/llflow_l_skf_official.py', '../_base_/schedules/llflow_l_skf_official.py'
]

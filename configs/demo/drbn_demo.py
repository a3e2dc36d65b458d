_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/paired_folder.py', '../_base_/models/drbn.py',
    '../_base_/schedules/drbn.py'
]

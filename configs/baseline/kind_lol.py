_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/kind.py', '../_base_/schedules/drbn.py'
]

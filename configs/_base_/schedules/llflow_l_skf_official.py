_base_ = './llflow_l_skf.py'
# The warm-up ends one step early, so that the learning rate stays at 199/200 of what it should be.
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end_factor=199 / 200, end=199), _base_.param_scheduler[1]
]

_base_ = ['./llflow_s.py', './llflow_large.py']
model = dict(generator=_base_.large)

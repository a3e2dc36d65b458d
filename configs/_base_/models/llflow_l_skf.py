_base_ = ['./llflow_s_skf.py', './llflow_large.py']
model = dict(generator=_base_.large_skf)

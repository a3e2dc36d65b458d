_base_ = './llflow_s.py'
model = dict(generator=dict(width=64, num_blocks=24, kept_blocks=(1, 3, 5, 7), steps=12))

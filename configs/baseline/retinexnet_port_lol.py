_base_ = '../_base_/methods/retinexnet.py'
model = dict(generator=dict(form='port', padding_mode='replicate'))

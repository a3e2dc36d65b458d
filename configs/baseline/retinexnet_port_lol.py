_base_ = './retinexnet_lol.py'
model = dict(generator=dict(form='port', padding_mode='replicate'))

_base_ = './retinexnet_lol.py'
model = dict(generator=dict(form='port'))

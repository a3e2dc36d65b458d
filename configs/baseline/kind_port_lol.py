_base_ = './kind_lol.py'
model = dict(generator=dict(form='port'))

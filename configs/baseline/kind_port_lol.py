_base_ = '../_base_/methods/kind.py'
model = dict(generator=dict(form='port'))

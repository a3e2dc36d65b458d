_base_ = './identity.py'
model = dict(generator=dict(type='GammaCorrection', gamma=2.2))

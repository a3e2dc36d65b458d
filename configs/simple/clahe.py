_base_ = './identity.py'
model = dict(generator=dict(type='CLAHE', clip_limit=8., tiles=8))

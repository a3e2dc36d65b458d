# Table 5: HWMNet widened to the size of HWMNet-SKF: 69,364,467 parameters. The paper has 69.99 M without details; no width
# or depth gives that (100 channels give 72.22 M).
_base_ = '../_base_/methods/hwmnet.py'
model = dict(generator=dict(channels=98))

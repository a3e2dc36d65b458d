# Table 5: HWMNet of a size like that of HWMNet-SKF, by its width: 69,364,467 parameters. The paper has 69.99 M and does not say
# how; no width or depth gives that (100 channels are 72.22 M).
_base_ = '../_base_/methods/hwmnet.py'
model = dict(generator=dict(channels=98))

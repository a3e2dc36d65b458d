_base_ = '../_base_/methods/unet.py'

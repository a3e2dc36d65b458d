_base_ = '../_base_/methods/enlightengan.py'

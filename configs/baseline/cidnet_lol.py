_base_ = '../_base_/methods/cidnet.py'

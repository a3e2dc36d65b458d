_base_ = '../_base_/methods/mirnet_v2.py'

_base_ = '../_base_/methods/nafnet_s.py'

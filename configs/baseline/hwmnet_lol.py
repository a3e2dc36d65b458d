_base_ = '../_base_/methods/hwmnet.py'

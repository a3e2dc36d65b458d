_base_ = '../_base_/methods/nafnet.py'

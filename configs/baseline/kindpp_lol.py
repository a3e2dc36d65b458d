_base_ = '../_base_/methods/kindpp.py'

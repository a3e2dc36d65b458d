_base_ = '../_base_/methods/drbn.py'

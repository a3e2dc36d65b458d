_base_ = '../_base_/methods/kind.py'

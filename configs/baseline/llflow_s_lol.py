_base_ = '../_base_/methods/llflow.py'

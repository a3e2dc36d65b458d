_base_ = '../_base_/methods/zerodce.py'

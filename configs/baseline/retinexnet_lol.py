_base_ = '../_base_/methods/retinexnet.py'

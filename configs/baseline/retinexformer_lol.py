_base_ = '../_base_/methods/retinexformer.py'

_base_ = '../_base_/methods/restormer.py'

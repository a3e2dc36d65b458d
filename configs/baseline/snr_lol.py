_base_ = '../_base_/methods/snr.py'

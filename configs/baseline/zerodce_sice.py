# The data of Zero-DCE's authors; the test set is LOL's.
_base_ = '../_base_/methods/zerodce.py'
train_dataloader = dict(dataset=_base_.sice.train)
# 200 epochs of 303 batches.
train_cfg = dict(max_iters=60600, val_interval=5000)

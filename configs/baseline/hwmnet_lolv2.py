_base_ = '../_base_/methods/hwmnet.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# 300 epochs of 3445 batches: the 689 pairs are cropped 10 times per epoch.
train_cfg = dict(max_iters=1033500)
default_hooks = dict(param_scheduler=dict(epoch_length=3445))

_base_ = '../_base_/methods/cidnet.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# An epoch has 87 batches.
train_cfg = dict(max_iters=87000)
default_hooks = dict(param_scheduler=dict(epoch_length=87))

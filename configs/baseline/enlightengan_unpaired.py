# The data of EnlightenGAN's authors; the test set is LOL's.
_base_ = '../_base_/methods/enlightengan.py'
train_dataloader = dict(dataset=dict(**_base_.unpaired.train, random_partner=False))
# 200 epochs of 32 batches.
train_cfg = dict(max_iters=6400, val_interval=640)
default_hooks = dict(param_scheduler=dict(epoch_length=32))

_base_ = '../_base_/methods/drbn.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# 300 epochs of 861 batches: the 689 pairs are repeated 5 times per epoch.
train_cfg = dict(max_iters=258300)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[172200], gamma=0.5)]

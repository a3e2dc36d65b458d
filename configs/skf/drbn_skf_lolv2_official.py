_base_ = './drbn_skf_lol_official.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# 300 epochs of 517 batches of 4: the 689 pairs are repeated 3 times per epoch.
train_cfg = dict(max_iters=155100)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[103400], gamma=0.5)]
custom_hooks = _base_.custom_hooks[:-1] + [dict(type='ResetDiscriminatorHook', interval=517)]

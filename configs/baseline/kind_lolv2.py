_base_ = '../_base_/methods/kind.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# An epoch has 68 or 172 batches.
for stage, iters in zip(_base_.train_cfg.stages, (136000, 136000, 172000)):
    stage.iters = iters
del stage, iters
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[272000 + 137600], gamma=0.5)]

_base_ = '../_base_/methods/kindpp.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# An epoch has 68 batches.
for stage, iters in zip(_base_.train_cfg.stages, (170000, 136000, 163200)):
    stage.iters = iters
del stage, iters
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[306000 + 20400, 306000 + 34000, 306000 + 102000], gamma=0.5)
]

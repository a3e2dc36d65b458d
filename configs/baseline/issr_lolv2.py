_base_ = 'issr_lol.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# An epoch has 68 batches of 10 or 43 of 16.
for stage, iters in zip(_base_.train_cfg.stages, (136000, 21500, 68000, 34000)):
    stage.iters = iters
del stage, iters
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[136000], gamma=0.1),
    dict(type='MultiStepLR', by_epoch=False, milestones=[157500], gamma=5.),
    dict(type='MultiStepLR', by_epoch=False, milestones=[225500], gamma=10.),
    dict(type='MultiStepLR', by_epoch=False, milestones=[136000 + 2150, 157500 + 3400, 225500 + 3400], gamma=0.2),
    dict(type='MultiStepLR', by_epoch=False, milestones=[157500 + 27200, 225500 + 13600], gamma=0.5),
]

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_stretched.py', '../_base_/models/kind_skf.py',
    '../_base_/schedules/kind_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
_base_.train_dataloader.dataset.pipeline[3].crop_size = 384
# An epoch has 68 or 172 batches.
for stage, iters in zip(_base_.train_cfg.stages, (136000, 136000, 172000)):
    stage.iters = iters
del stage, iters
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[272000 + 137600], gamma=0.5)]

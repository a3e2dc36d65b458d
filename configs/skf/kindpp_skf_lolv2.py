_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lolv2_real_stretched.py', '../_base_/models/kindpp_skf.py',
    '../_base_/schedules/kindpp_skf.py', '../skb/hrnet_w48_pascal_context.py'
]
model = dict(skb=_base_.skb)
_base_.train_dataloader.dataset.pipeline[3].crop_size = 96
train_dataloader = dict(batch_size=10)
# An epoch has 68 batches.
for stage, iters in zip(_base_.train_cfg.stages, (170000, 136000, 163200)):
    stage.iters = iters
del stage, iters
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=False, milestones=[306000 + 20400, 306000 + 34000, 306000 + 102000], gamma=0.5)
]

_base_ = [
    '../_base_/default_runtime.py', '../_base_/datasets/lol.py', '../_base_/models/drbn_skf_official.py',
    '../_base_/schedules/drbn_skf.py', '../skb/hrnet_w48_pascal_context_official.py'
]
model = dict(skb=_base_.skb)
# 300 epochs of 364 batches of 4: the 485 pairs are repeated 3 times an epoch.
train_cfg = dict(max_iters=109200)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[72800], gamma=0.5)]
# D starts anew in every epoch, with a thousandth of the generator's learning rate: it hardly learns.
optim_wrapper = dict(discriminator=dict(optimizer=dict(lr=1e-7)))
custom_hooks = _base_.custom_hooks + [dict(type='ResetDiscriminatorHook', interval=364)]

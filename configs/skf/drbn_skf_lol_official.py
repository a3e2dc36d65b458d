# DRBN-SKF as in the released code, quirks included.
_base_ = ['../_base_/methods/drbn.py', '../skb/hrnet_w48_pascal_context_official.py']
model = dict(
    skb=_base_.skb,
    generator=dict(_base_.skf.generator, gray_start=False),
    # The bank sees the output of the third recurrence (SE) and the final output (losses); gradients flow through it.
    se_input='pred',
    loss_input='pred',
    # Boundaries are kept, and this normalizer makes the term negligible.
    sch_loss=dict(type='SCHLoss', bins='official', edge_width=0, normalizer='pixels_classes_channels', loss_weight=1.),
    # D's local terms both use the same region, the generator has no local term, and D's last layer pads by 1.
    sa_loss=dict(_base_.skf.sa_loss, variant='official'),
    discriminator=dict(_base_.skf.discriminator, variant='official'))
# 300 epochs of 364 batches of 4: the 485 pairs are repeated 3 times per epoch.
train_cfg = dict(max_iters=109200)
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[72800], gamma=0.5)]
# D is reinitialized in every epoch, with a thousandth of the generator's learning rate: it hardly learns.
optim_wrapper = dict(discriminator=dict(optimizer=dict(lr=1e-7)))
custom_hooks = _base_.custom_hooks + [dict(type='ResetDiscriminatorHook', interval=364)]

_base_ = ['../_base_/methods/retinexnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb)
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches
optim_wrapper = dict(discriminator=dict(optimizer=dict(lr=1e-4)))

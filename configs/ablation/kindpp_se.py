# Table 3: SE modules only.
_base_ = ['../_base_/methods/kindpp.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, generator=_base_.skf.generator)
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches

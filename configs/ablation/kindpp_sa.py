# Table 3: SA loss only.
_base_ = ['../_base_/methods/kindpp.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, sa_loss=_base_.skf.sa_loss, discriminator=_base_.skf.discriminator)
_base_.train_cfg.stages[-1].dataloader = _base_.skf_patches

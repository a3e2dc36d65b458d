# Table 3: SA loss only.
_base_ = ['../_base_/methods/drbn.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, sa_loss=_base_.skf.sa_loss, discriminator=_base_.skf.discriminator)

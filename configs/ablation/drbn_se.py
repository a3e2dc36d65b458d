# Table 3: SE modules only.
_base_ = ['../_base_/methods/drbn.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, generator=_base_.skf.generator)

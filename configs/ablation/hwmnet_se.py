# Table 3: SE modules only.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, generator=_base_.skf.generator)

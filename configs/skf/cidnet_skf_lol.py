_base_ = ['../_base_/methods/cidnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb)

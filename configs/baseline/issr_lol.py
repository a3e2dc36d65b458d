_base_ = ['../_base_/methods/issr.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb)

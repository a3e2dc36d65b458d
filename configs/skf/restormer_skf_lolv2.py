_base_ = ['../baseline/restormer_lolv2.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb)

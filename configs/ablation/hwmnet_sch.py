# Table 3: SCH loss only.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, sch_loss=_base_.skf.sch_loss)

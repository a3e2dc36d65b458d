# Table 4: the histogram of the whole image instead of SCH; SA and SE modules.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb, sch_loss=dict(_base_.skf.sch_loss, semantic=False))

# Table 4: the histogram of the whole image instead of SCH, no SA; with SE modules.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, generator=_base_.skf.generator, sch_loss=dict(_base_.skf.sch_loss, semantic=False))

# Tables 3 and 4: SCH loss and SE modules.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(skb=_base_.skb, generator=_base_.skf.generator, sch_loss=_base_.skf.sch_loss)

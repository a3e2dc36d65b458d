# Table 4: the adversarial loss without semantics instead of SA; SCH and SE modules.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(_base_.skf, skb=_base_.skb, sa_loss=dict(_base_.skf.sa_loss, variant='classic'))

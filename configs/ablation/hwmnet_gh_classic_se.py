# Table 4: both losses without semantics; with SE modules.
_base_ = ['../_base_/methods/hwmnet.py', '../skb/hrnet_w48_pascal_context.py']
model = dict(
    _base_.skf, skb=_base_.skb,
    sch_loss=dict(_base_.skf.sch_loss, semantic=False),
    sa_loss=dict(_base_.skf.sa_loss, variant='classic'))

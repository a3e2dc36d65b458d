# Table 4: the adversarial loss without semantics in place of SA; SCH and SE modules.
_base_ = '../skf/hwmnet_skf_lol.py'
model = dict(sa_loss=dict(variant='classic'))

# Table 4: both losses without semantics; with SE modules.
_base_ = '../skf/hwmnet_skf_lol.py'
model = dict(sch_loss=dict(semantic=False), sa_loss=dict(variant='classic'))

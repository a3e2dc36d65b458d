# Table 4: the histogram of the whole image in place of SCH; SA and SE modules.
_base_ = '../skf/hwmnet_skf_lol.py'
model = dict(sch_loss=dict(semantic=False))

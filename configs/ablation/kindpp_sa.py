# Table 3: the SA loss alone.
_base_ = '../skf/kindpp_skf_lol.py'
model = dict(generator=dict(se=None), sch_loss=None)

# Table 3: SE modules alone.
_base_ = '../skf/kindpp_skf_lol.py'
model = dict(sch_loss=None, sa_loss=None, discriminator=None)
optim_wrapper = dict(_delete_=True, **_base_.optim_wrapper.generator)
model_wrapper_cfg = None

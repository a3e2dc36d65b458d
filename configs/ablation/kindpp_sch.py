# Table 3: the SCH loss alone.
_base_ = '../skf/kindpp_skf_lol.py'
model = dict(generator=dict(se=None), sa_loss=None, discriminator=None)
optim_wrapper = dict(_delete_=True, **_base_.optim_wrapper.generator)
model_wrapper_cfg = None

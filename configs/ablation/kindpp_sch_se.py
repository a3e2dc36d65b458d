# Table 3: SCH loss and SE modules.
_base_ = '../skf/kindpp_skf_lol.py'
model = dict(sa_loss=None, discriminator=None)
optim_wrapper = dict(_delete_=True, **_base_.optim_wrapper.generator)
model_wrapper_cfg = None

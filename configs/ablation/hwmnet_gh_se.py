# Table 4: the histogram of the whole image in place of SCH, no SA; with SE modules.
_base_ = '../skf/hwmnet_skf_lol.py'
model = dict(sch_loss=dict(semantic=False), sa_loss=None, discriminator=None)
optim_wrapper = dict(_delete_=True, **_base_.optim_wrapper.generator)
model_wrapper_cfg = None

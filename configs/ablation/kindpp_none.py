# Table 3: KinD++ itself, trained with the patches of the other rows; those of baseline/kindpp_lol.py are smaller at the end.
_base_ = '../skf/kindpp_skf_lol.py'
model = dict(skb=None, generator=dict(se=None), sch_loss=None, sa_loss=None, discriminator=None)
optim_wrapper = dict(_delete_=True, **_base_.optim_wrapper.generator)
model_wrapper_cfg = None

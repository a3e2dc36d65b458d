_base_ = './llflow_s_skf_lol.py'
# As on LOL: what the plain LLFlow does differently on these data, SKF does not.
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader

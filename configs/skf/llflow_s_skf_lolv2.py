_base_ = './llflow_s_skf_lol.py'
# As on LOL: the plain LLFlow's changes for these data do not apply to SKF.
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader

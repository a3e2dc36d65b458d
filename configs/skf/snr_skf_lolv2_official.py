_base_ = './snr_skf_lol_official.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
# Training is fine-tuned from the authors' LOLv2_real.pth, converted in the same way.
model = dict(generator=dict(init_cfg=dict(checkpoint='checkpoints/snr_lolv2.pth')))
optim_wrapper = dict(optimizer=dict(lr=4e-4))

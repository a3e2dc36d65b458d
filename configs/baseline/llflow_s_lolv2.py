_base_ = '../_base_/methods/llflow.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
model = dict(train_gt_ratio=0.5)

_base_ = './llflow_l_lol.py'
train_dataloader = dict(dataset=_base_.lolv2_real.train)
val_dataloader = dict(dataset=_base_.lolv2_real.test)
test_dataloader = val_dataloader
model = dict(train_gt_ratio=0.5)
# On these data the warm-up takes 200 iterations.
param_scheduler = [dict(type='LinearLR', by_epoch=False, start_factor=1 / 200, end=200), _base_.param_scheduler[1]]

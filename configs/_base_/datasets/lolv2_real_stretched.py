# LOL-v2 real for KinD and KinD++, which take every image at its full range; scores compare with the ground truth as it is.
_base_ = './lolv2_real.py'

_base_.train_dataloader.dataset.pipeline.insert(2, dict(type='StretchRange', keys=['img', 'gt']))
_base_.val_dataloader.dataset.pipeline.insert(1, dict(type='StretchRange', keys=['img']))
test_dataloader = _base_.val_dataloader

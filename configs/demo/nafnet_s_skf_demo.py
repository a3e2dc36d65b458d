# Fine-tunes the model that comes with mmskf on pairs of one's own: a minute on two CPU cores.
_base_ = '../skf/nafnet_s_skf_mixed.py'
load_from = 'mmskf://pretrained/nafnet_s_skf_mixed-07284472.pth'

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        _delete_=True, type='EnhancementDataset', **_base_.paired_folder.train, pipeline=_base_.train_pipeline))
val_dataloader = dict(num_workers=1, dataset=_base_.paired_folder.test)
test_dataloader = val_dataloader
next(hook for hook in _base_.custom_hooks if hook.type == 'mmagic.BasicVisualizationHook').interval.val = 1  # every test image
optim_wrapper = dict(optimizer=dict(lr=2e-4))
train_cfg = dict(max_iters=60, val_interval=60)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=60, eta_min=1e-6)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=60))

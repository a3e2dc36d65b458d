_base_ = './kindpp.py'
# D is trained beside the last subnet, by an optimizer of its own.
optim_wrapper = dict(
    _delete_=True,
    constructor='mmagic.MultiOptimWrapperConstructor',
    generator=_base_.optim_wrapper,
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))))
model_wrapper_cfg = dict(type='mmskf.StagedSeparateDistributedDataParallel')
# The knowledge bank needs patches larger than 48x48; train_dataloader has those of the last stage. Step 3 is RandomCrop.
for stage in _base_.train_cfg.stages[:2]:
    stage['dataloader'] = dict(dataset=dict(pipeline={'3': dict(crop_size=48)}))
del stage

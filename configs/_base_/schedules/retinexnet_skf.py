_base_ = './retinexnet.py'
# D is trained beside the last subnet, by an optimizer of its own.
optim_wrapper = dict(
    _delete_=True,
    constructor='mmagic.MultiOptimWrapperConstructor',
    generator=_base_.optim_wrapper,
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))))
model_wrapper_cfg = dict(type='mmskf.StagedSeparateDistributedDataParallel')
# The knowledge bank needs patches larger than 48x48; train_dataloader has those of the last stage. Step 2 is RandomCrop.
_base_.train_cfg.stages[0]['dataloader'] = dict(dataset=dict(pipeline={'2': dict(crop_size=48)}))

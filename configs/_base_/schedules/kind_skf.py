_base_ = './kind.py'
# D is trained beside the last subnet, by an optimizer of its own.
optim_wrapper = dict(
    _delete_=True,
    constructor='mmagic.MultiOptimWrapperConstructor',
    generator=_base_.optim_wrapper,
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))))
model_wrapper_cfg = dict(type='mmskf.StagedSeparateDistributedDataParallel')

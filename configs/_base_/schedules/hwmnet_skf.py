_base_ = './hwmnet.py'
# D is trained beside the generator, by an optimizer of its own.
optim_wrapper = dict(
    _delete_=True,
    constructor='mmagic.MultiOptimWrapperConstructor',
    generator=_base_.optim_wrapper,
    discriminator=_base_.optim_wrapper)
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')

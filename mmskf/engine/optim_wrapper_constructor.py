from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict
from torch import nn

from mmskf.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmskf.utils.options import PARTS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(name=['EditorOptimWrapperConstructor', 'DefaultOptimWrapperConstructor'])
class EditorOptimWrapperConstructor:
    """Builds the optimizers of an editor from one config: one for a plain editor, two if there is a discriminator.

    In the scope ``mmskf`` it replaces mmengine's default constructor, and does the same for a model without a discriminator. A
    discriminator has an optimizer of its own, with the generator's settings unless ``discriminator`` overrides them.

    Args:
        optim_wrapper_cfg (dict): Config of the optimizer wrapper. ``generator`` and ``discriminator`` in it, both optional,
            override fields for one of them, the way a config overrides its base; the latter is ignored if the model has no
            discriminator.
        paramwise_cfg (dict, optional): As in ``mmengine.optim.DefaultOptimWrapperConstructor``, for the generator; the
            discriminator may have its own in ``discriminator``. Defaults to None.

    Examples:
        >>> optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3),
        >>>                      discriminator=dict(optimizer=dict(lr=1e-4)))
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        common = {name: value for name, value in optim_wrapper_cfg.items() if name not in PARTS}
        self.constructors = {}
        for part, paramwise in zip(PARTS, (paramwise_cfg, None)):
            cfg = Config(dict(wrapper=common))
            cfg.merge_from_dict(dict(wrapper=optim_wrapper_cfg.get(part) or {}))
            paramwise = cfg.wrapper.pop('paramwise_cfg', paramwise)
            self.constructors[part] = DefaultOptimWrapperConstructor(cfg.wrapper, paramwise)

    def __call__(self, model: nn.Module) -> OptimWrapper | OptimWrapperDict:
        """Builds the optimizers of an editor, even if it is wrapped for data-parallel training.

        Returns:
            OptimWrapper or OptimWrapperDict: The latter has the keys 'generator' and 'discriminator'.
        """
        editor = model.module if is_model_wrapper(model) else model
        if getattr(editor, 'discriminator', None) is None:
            return self.constructors['generator'](model)
        return OptimWrapperDict(**{part: constructor(getattr(editor, part)) for part, constructor in self.constructors.items()})

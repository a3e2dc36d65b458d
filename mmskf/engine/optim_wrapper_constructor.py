from typing import Optional, Union

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict
from torch import nn

from mmskf.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(name=['EditorOptimWrapperConstructor', 'DefaultOptimWrapperConstructor'])
class EditorOptimWrapperConstructor:
    """Makes the optimizers of an editor of one config: one for a plain editor, two for one with a discriminator.

    Without ``constructor`` in the config it is the one that is taken in the scope ``mmskf``: by itself it does what mmengine's
    default does. Where the model has a discriminator, this is trained by an optimizer of its own, with the settings of the
    generator's but for what ``discriminator`` says.

    Args:
        optim_wrapper_cfg (dict): Config of the optimizer wrapper, and ``discriminator``, optional: what differs for D, field by
            field as a config differs from its base. It is ignored for a model that has none.
        paramwise_cfg (dict, optional): As in ``mmengine.optim.DefaultOptimWrapperConstructor``, for the generator; D may have
            its own in ``discriminator``. Defaults to None.

    Raises:
        ValueError: If settings of the generator stand in a field of their own.

    Examples:
        >>> optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3),
        >>>                      discriminator=dict(optimizer=dict(lr=1e-4)))
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: Optional[dict] = None):
        if 'generator' in optim_wrapper_cfg:
            raise ValueError('optim_wrapper.generator: what stands in optim_wrapper is for the generator, such as '
                             'optim_wrapper=dict(optimizer=dict(lr=1e-4)), and what differs for the discriminator in '
                             'optim_wrapper.discriminator. For a whole wrapper each, start with _delete_=True and '
                             'constructor="mmagic.MultiOptimWrapperConstructor"')
        wrapper = dict(optim_wrapper_cfg)
        changes = wrapper.pop('discriminator', None) or {}
        cfg = Config(dict(discriminator=wrapper))
        cfg.merge_from_dict(dict(discriminator=changes))
        paramwise_of_discriminator = cfg.discriminator.pop('paramwise_cfg', None)
        self.generator = DefaultOptimWrapperConstructor(wrapper, paramwise_cfg)
        self.discriminator = DefaultOptimWrapperConstructor(cfg.discriminator, paramwise_of_discriminator)

    def __call__(self, model: nn.Module) -> Union[OptimWrapper, OptimWrapperDict]:
        """Builds the optimizers of an editor, also of one that is wrapped for data parallel training.

        Returns:
            OptimWrapper or OptimWrapperDict: The latter with the keys 'generator' and 'discriminator'.
        """
        editor = model.module if is_model_wrapper(model) else model
        if getattr(editor, 'discriminator', None) is None:
            return self.generator(model)
        return OptimWrapperDict(generator=self.generator(editor.generator), discriminator=self.discriminator(editor.discriminator))

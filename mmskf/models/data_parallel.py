from typing import Any

from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from torch import nn

from mmskf.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module(name=['EditorDistributedDataParallel', 'StagedSeparateDistributedDataParallel'])
class EditorDistributedDataParallel(MMSeparateDistributedDataParallel):
    """Wraps each part of an editor separately, since generator and discriminator are trained in alternation.

    Every stage of a :class:`StagedEditor` leaves some weights of the generator unused, so its wrapper has to find unused
    parameters; the discriminator's wrapper must not, since the discriminator is called several times per step.

    Args:
        module (nn.Module): The editor.
        broadcast_buffers (bool): As in ``MMSeparateDistributedDataParallel``. Defaults to False.
        find_unused_parameters (bool): Looks for weights of the generator that a step leaves unused, whatever the editor.
            Defaults to False.
        **kwargs: Other arguments of ``MMSeparateDistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, broadcast_buffers: bool = False, find_unused_parameters: bool = False, **kwargs: Any):
        if not find_unused_parameters and not hasattr(module, 'stages'):
            super().__init__(module, broadcast_buffers, **kwargs)
            return
        generator = module.get_submodule('generator').to(get_device())
        del module.generator
        super().__init__(module, broadcast_buffers, **kwargs)
        module.generator = MMDistributedDataParallel(
            generator, broadcast_buffers=broadcast_buffers, find_unused_parameters=True, **kwargs)


StagedSeparateDistributedDataParallel = EditorDistributedDataParallel  # its name when it was for stages only

from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from torch import nn

from mmskf.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class StagedSeparateDistributedDataParallel(MMSeparateDistributedDataParallel):
    """Wraps each part of a :class:`StagedEditor` with the SA loss.

    Every stage leaves weights of the generator unused, so that its wrapper has to look for them; that of D must not, since D
    is called several times in a step.

    Args:
        module (nn.Module): The editor.
        broadcast_buffers (bool): As in ``MMSeparateDistributedDataParallel``. Defaults to False.
        **kwargs: The same.
    """

    def __init__(self, module: nn.Module, broadcast_buffers: bool = False, **kwargs):
        generator = module._modules.pop('generator').to(get_device())
        super().__init__(module, broadcast_buffers, **kwargs)
        module.generator = MMDistributedDataParallel(
            generator, broadcast_buffers=broadcast_buffers, find_unused_parameters=True, **kwargs)

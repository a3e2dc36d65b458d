from typing import TYPE_CHECKING, Any

from mmskf.registry import MODELS
from mmskf.utils.image import log_image

from .bank_distiller import BankDistiller
from .hrnet_knowledge_bank import HRNetKnowledgeBank
from .knowledge_bank import KnowledgeBank
from .semantic_knowledge_bank import SemanticKnowledgeBank
from .smp_knowledge_bank import SMPKnowledgeBank
from .torchvision_knowledge_bank import TorchvisionKnowledgeBank
from .transformers_knowledge_bank import TransformersKnowledgeBank

if TYPE_CHECKING:
    from .hrnet import FCNHead, HRNet

__all__ = [
    'BankDistiller', 'HRNetKnowledgeBank', 'KnowledgeBank', 'SMPKnowledgeBank', 'SemanticKnowledgeBank',
    'TorchvisionKnowledgeBank', 'TransformersKnowledgeBank', 'log_image'
]


# These two are mmsegmentation's with further options. They are not in __all__, and are registered as functions, since importing
# mmsegmentation takes seconds.
def __getattr__(name: str) -> Any:
    if name in ('FCNHead', 'HRNet'):
        from . import hrnet
        return getattr(hrnet, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


@MODELS.register_module(name='HRNet')
def build_hrnet(**kwargs: Any) -> 'HRNet':
    """Builds the :class:`~mmskf.models.skb.hrnet.HRNet` of a config."""
    from .hrnet import HRNet
    return HRNet(**kwargs)


@MODELS.register_module(name='FCNHead')
def build_fcn_head(**kwargs: Any) -> 'FCNHead':
    """Builds the :class:`~mmskf.models.skb.hrnet.FCNHead` of a config."""
    from .hrnet import FCNHead
    return FCNHead(**kwargs)

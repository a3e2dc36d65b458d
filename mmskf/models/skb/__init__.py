from mmskf.utils.image import log_image

from .bank_distiller import BankDistiller
from .hrnet import FCNHead, HRNet
from .knowledge_bank import KnowledgeBank
from .semantic_knowledge_bank import SemanticKnowledgeBank
from .smp_knowledge_bank import SMPKnowledgeBank
from .torchvision_knowledge_bank import TorchvisionKnowledgeBank
from .transformers_knowledge_bank import TransformersKnowledgeBank

__all__ = [
    'BankDistiller', 'FCNHead', 'HRNet', 'KnowledgeBank', 'SMPKnowledgeBank', 'SemanticKnowledgeBank',
    'TorchvisionKnowledgeBank', 'TransformersKnowledgeBank', 'log_image'
]

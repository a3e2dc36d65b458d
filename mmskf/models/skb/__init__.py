from mmskf.utils.image import log_image

from .hrnet import FCNHead, HRNet
from .semantic_knowledge_bank import SemanticKnowledgeBank

__all__ = ['FCNHead', 'HRNet', 'SemanticKnowledgeBank', 'log_image']

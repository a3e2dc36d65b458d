from .hrnet import FCNHead, HRNet
from .semantic_knowledge_bank import SemanticKnowledgeBank, log_image

__all__ = ['FCNHead', 'HRNet', 'SemanticKnowledgeBank', 'log_image']

from .enhancement_preprocessor import EnhancementPreprocessor
from .mixup_preprocessor import MixUpPreprocessor

__all__ = ['EnhancementPreprocessor', 'MixUpPreprocessor']

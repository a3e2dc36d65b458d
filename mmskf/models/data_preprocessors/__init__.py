from .mixup_preprocessor import MixUpPreprocessor

__all__ = ['MixUpPreprocessor']

from .semantic_prior import SemanticPrior

__all__ = ['SemanticPrior']

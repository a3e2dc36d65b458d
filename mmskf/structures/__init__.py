"""What models pass on: semantic priors, and the factors of Retinex methods."""
from .retinex import Adjustment, Decomposition, Relighting, Restoration
from .semantic_prior import Prior, SemanticPrior

__all__ = ['Adjustment', 'Decomposition', 'Prior', 'Relighting', 'Restoration', 'SemanticPrior']

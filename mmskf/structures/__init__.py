"""What models pass on: semantic priors, and the factors of Retinex methods."""
from .hvi import HVIOutputs
from .retinex import Adjustment, Decomposition, Relighting, Restoration
from .semantic_prior import Prior, SemanticPrior

__all__ = ['Adjustment', 'Decomposition', 'HVIOutputs', 'Prior', 'Relighting', 'Restoration', 'SemanticPrior']

"""What models pass on: semantic priors, and the factors of Retinex methods."""
from .hvi import HVIOutputs
from .retinex import Adjustment, Decomposition, Exposure, Relighting, Restoration, Segmentation
from .semantic_prior import Prior, SemanticPrior

__all__ = [
    'Adjustment', 'Decomposition', 'Exposure', 'HVIOutputs', 'Prior', 'Relighting', 'Restoration', 'Segmentation', 'SemanticPrior'
]

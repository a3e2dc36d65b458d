"""What models pass on: semantic priors, the factors of Retinex methods, and outputs for losses without ground truth."""
from .retinex import Adjustment, Decomposition, Relighting, Restoration
from .semantic_prior import Prior, SemanticPrior
from .unpaired import CurveOutputs, WindowedOutputs

__all__ = [
    'Adjustment', 'CurveOutputs', 'Decomposition', 'Prior', 'Relighting', 'Restoration', 'SemanticPrior', 'WindowedOutputs'
]

"""What models pass on: semantic priors, the factors of Retinex methods, and outputs for losses without ground truth."""
from .hvi import HVIOutputs
from .retinex import Adjustment, Decomposition, Exposure, Relighting, Restoration, Segmentation
from .semantic_prior import Prior, SemanticPrior, put_prior, take_prior
from .unpaired import CurveOutputs, WindowedOutputs

__all__ = [
    'Adjustment', 'CurveOutputs', 'Decomposition', 'Exposure', 'HVIOutputs', 'Prior', 'Relighting', 'Restoration', 'Segmentation',
    'SemanticPrior', 'WindowedOutputs', 'put_prior', 'take_prior'
]

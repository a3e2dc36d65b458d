"""What models pass on: data samples, semantic priors, factors of Retinex methods, outputs for losses without ground truth."""
from .data_sample import DataSample
from .hvi import HVIOutputs
from .retinex import Adjustment, Decomposition, Exposure, Relighting, Restoration, Segmentation
from .semantic_prior import Prior, SemanticPrior, put_prior, take_prior
from .unpaired import CurveOutputs, WindowedOutputs

__all__ = [
    'Adjustment', 'CurveOutputs', 'DataSample', 'Decomposition', 'Exposure', 'HVIOutputs', 'Prior', 'Relighting', 'Restoration',
    'Segmentation', 'SemanticPrior', 'WindowedOutputs', 'put_prior', 'take_prior'
]

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class SemanticPrior:
    """What a semantic knowledge bank knows of a batch of images (SKF, Eq. 1): M = {F_s^0, F_s^1, ..., I_seg}.

    Args:
        features (Sequence[Tensor]): Feature maps of the segmentation backbone, finest first: (N, C_i, h_i, w_i).
        logits (Tensor): Class scores before the softmax at the size of the image: (N, classes, H, W).
    """
    features: Sequence[Tensor]
    logits: Tensor

    @cached_property
    def probs(self) -> Tensor:
        """The semantic map I_seg: class probabilities (N, classes, H, W)."""
        return self.logits.softmax(dim=1)

    @cached_property
    def labels(self) -> Tensor:
        """The most probable class of every pixel: (N, H, W), int64, without gradient."""
        return self.logits.detach().argmax(dim=1)

    def detach(self) -> 'SemanticPrior':
        """The same prior without a graph; its labels never had one, and are shared."""
        detached = SemanticPrior([feature.detach() for feature in self.features], self.logits.detach())
        vars(detached)['labels'] = self.labels
        return detached

    def source(self, key: int | Literal['logits']) -> Tensor:
        """The map that an SE module names as its source: the index of a feature, or 'logits'."""
        return self.logits if key == 'logits' else self.features[key]


#: What a generator is given: a prior, the knowledge bank itself (image -> prior) where the generator is to ask for the prior of
#: an image that it makes, or nothing.
Prior = SemanticPrior | Callable[[Tensor], SemanticPrior] | None

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from mmengine.structures import BaseDataElement
from torch import Tensor

# Prefix of the fields of a data sample that hold its prior.
FIELD = 'prior_'


@dataclass(frozen=True)
class SemanticPrior:
    """The semantic prior of a batch of images, from a knowledge bank (SKF, Eq. 1): M = {F_s^0, F_s^1, ..., I_seg}.

    Args:
        features (Sequence[Tensor]): Feature maps of the segmentation backbone, finest first: (N, C_i, h_i, w_i).
        logits (Tensor, optional): Class scores before the softmax, at image size: (N, classes, H, W). Defaults to None: the
            bank has features only.
    """
    features: Sequence[Tensor]
    logits: Tensor | None = None

    @cached_property
    def probs(self) -> Tensor:
        """The semantic map I_seg: class probabilities (N, classes, H, W)."""
        return self.scores.softmax(dim=1)

    @cached_property
    def labels(self) -> Tensor:
        """The label map, the most probable class of each pixel: (N, H, W), int64, without gradient."""
        return self.scores.detach().argmax(dim=1)

    @property
    def scores(self) -> Tensor:
        """The logits, for those who need them.

        Raises:
            ValueError: If there are none.
        """
        if self.logits is None:
            raise ValueError('The knowledge bank of this SemanticPrior has features only and no class scores to make a '
                             'semantic map from: choose one with a segmentation head')
        return self.logits

    def detach(self) -> 'SemanticPrior':
        """The same prior, detached from the graph; its labels never had a gradient and are shared."""
        features = [feature.detach() for feature in self.features]
        if self.logits is None:
            return SemanticPrior(features)
        detached = SemanticPrior(features, self.logits.detach())
        vars(detached)['labels'] = self.labels
        return detached

    @property
    def maps(self) -> dict[str, Tensor]:
        """All maps by the names that SE modules give them as sources: '0', '1', ... and, if there are class scores, 'logits'."""
        maps = {str(index): feature for index, feature in enumerate(self.features)}
        return maps if self.logits is None else dict(maps, logits=self.logits)

    @classmethod
    def of_maps(cls, maps: Mapping[str, Tensor]) -> 'SemanticPrior':
        """The inverse of :attr:`maps`."""
        return cls([maps[str(index)] for index in range(len(maps) - ('logits' in maps))], maps.get('logits'))

    def source(self, key: int | str) -> Tensor:
        """The feature map that an SE module names as its source: the index of a feature, or 'logits'."""
        return self.scores if isinstance(key, str) else self.features[key]


#: What a generator is given: a prior; the knowledge bank itself (image -> prior), if the generator needs the prior of an image
#: that it makes; or nothing.
Prior = SemanticPrior | Callable[[Tensor], SemanticPrior] | None


def put_prior(sample: BaseDataElement, prior: SemanticPrior) -> None:
    """Adds a prior to a data sample, map by map, so that data loaders stack and move it like images."""
    sample.set_data({FIELD + name: value for name, value in prior.maps.items()})


def take_prior(samples: BaseDataElement) -> SemanticPrior:
    """The prior in a data sample, or in the stacked samples of a batch.

    Raises:
        ValueError: If there is none.
    """
    maps = {name.removeprefix(FIELD): value for name, value in samples.items() if name.startswith(FIELD)}
    if not maps:
        raise ValueError('The training images come without their cached priors: data loading had started before '
                         'PriorCacheHook acted. Train with IterBasedTrainLoop or StagedTrainLoop of mmskf')
    return SemanticPrior.of_maps(maps)

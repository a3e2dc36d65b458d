from typing import Optional, Sequence

from mmengine.model import ModuleList
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior


class SEModuleList(ModuleList):
    """The SE modules of a generator: one for each place where semantics enter, coarse to fine.

    Without a config it is empty and hands every feature on as it is; so it does without a prior.

    Args:
        se (dict, optional): Config of the SE modules: ``type``, their options, and

            - ``sources`` (Sequence[int | str]): for each module the prior's map that it reads, a feature index or 'logits'.
            - ``semantic_channels`` (dict): source -> channels. :class:`SKFEditor` fills it in from its knowledge bank.
        channels (Sequence[int]): Channels of the image feature at each place.

    Raises:
        ValueError: Without ``semantic_channels``, or if ``sources`` has another length than ``channels`` or names a source that
            does not exist.
    """

    def __init__(self, se: Optional[dict], channels: Sequence[int]):
        sources, modules = (), []
        if se is not None:
            options = dict(se)
            sources, widths = tuple(options.pop('sources')), options.pop('semantic_channels', None)
            if widths is None:
                raise ValueError('generator.se needs a semantic knowledge bank, whose widths SKFEditor hands on as '
                                 'se.semantic_channels: add one of configs/skb to _base_, or set model.skb')
            if len(sources) != len(channels):
                raise ValueError(f'se.sources={sources} names {len(sources)} sources, but this generator has {len(channels)} '
                                 f'SE modules, one for each of its features of {tuple(channels)} channels')
            unknown = [source for source in sources if source not in widths]
            if unknown:
                raise ValueError(f'se.sources names {unknown[0]!r}, which the knowledge bank does not have: '
                                 f'choose from {list(widths)}')
            modules = [MODELS.build(dict(options, channels=width, semantic_channels=widths[source]))
                       for width, source in zip(channels, sources)]
        super().__init__(modules)
        self.sources = sources

    def forward(self, index: int, feature: Tensor, prior: Optional[SemanticPrior]) -> Tensor:
        """Embeds the prior in the feature of one place: (N, C, H, W) -> (N, C, H, W).

        Raises:
            TypeError: For a callable in place of the prior: it was not asked.
        """
        if prior is None or not self.sources:
            return feature
        if callable(prior):
            raise TypeError('This generator makes no image before its SE modules, and was given a callable as prior: give it the '
                            'SemanticPrior of its input')
        return self[index](feature, prior.source(self.sources[index]))

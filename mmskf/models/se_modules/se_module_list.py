import re
from collections.abc import Sequence

from mmengine.model import ModuleList
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import Prior


class SEModuleList(ModuleList):
    """The SE modules of a generator, one per place where semantics enter, coarse to fine.

    Without a config it is empty; then, and without a prior, it returns every feature unchanged.

    Args:
        se (dict, optional): Config of the SE modules: ``type``, their options, and

            - ``sources`` (Sequence[int | str]): for each module the map of the prior that it reads: the index of a feature (0 is
              the finest), 'logits', or 'stride:8' for the feature whose stride is nearest to 8 (by ratio; the finer of two
              equally near ones, the last of several with that stride).
            - ``semantic_channels`` (dict): index or 'logits' -> channels. :class:`SKFEditor` fills it in from its knowledge bank.
            - ``semantic_strides`` (Sequence[int]): strides of the features, finest first; also filled in.
        channels (Sequence[int]): Channels of the image feature at each place.
        with_cp (bool): Whether the modules use activation checkpointing. Defaults to False.

    Raises:
        ValueError: If ``semantic_channels`` is missing, or ``sources`` differs in length from ``channels`` or names a source
            that does not exist.
    """

    def __init__(self, se: dict | None, channels: Sequence[int], with_cp: bool = False):
        sources: tuple[int | str, ...] = ()
        modules: list[nn.Module] = []
        if se is not None:
            options = dict(se, with_cp=True) if with_cp else dict(se)
            sources, widths = tuple(options.pop('sources', ())), options.pop('semantic_channels', None)
            strides = options.pop('semantic_strides', ())
            if widths is None:
                raise ValueError('generator.se needs a semantic knowledge bank, whose widths SKFEditor passes on as '
                                 'se.semantic_channels: add one of configs/skb to _base_, or set model.skb')
            if len(sources) != len(channels):
                raise ValueError(f'se.sources={sources} names {len(sources)} sources, but this generator has {len(channels)} '
                                 f'SE modules, one for each of its features of {tuple(channels)} channels')
            sources = tuple(_nearest(source, strides) for source in sources)
            unknown = [source for source in sources if source not in widths]
            if unknown:
                by_stride = f", or 'stride:N' for the nearest of the strides {tuple(strides)}" if strides else ''
                raise ValueError(f'se.sources names {unknown[0]!r}, which the knowledge bank does not have: '
                                 f'choose from {list(widths)}{by_stride}')
            modules = [MODELS.build(dict(options, channels=width, semantic_channels=widths[source]))
                       for width, source in zip(channels, sources)]
        super().__init__(modules)
        self.sources = sources

    def forward(self, index: int, feature: Tensor, prior: Prior) -> Tensor:
        """Embeds the prior in the feature map at one place: (N, C, H, W) -> (N, C, H, W).

        Raises:
            TypeError: If the prior is a callable that the generator has not called.
        """
        if prior is None or not self.sources:
            return feature
        if callable(prior):
            raise TypeError('This generator makes no image before its SE modules, and was given a callable as prior: give it the '
                            'SemanticPrior of its input')
        return self[index](feature, prior.source(self.sources[index]))


def _nearest(source: int | str, strides: Sequence[int]) -> int | str:
    """'stride:N' -> the index of the nearest feature; other sources, and banks without strides, leave it unchanged."""
    match = re.fullmatch(r'stride:([1-9]\d*)', str(source))
    if not match or not strides:
        return source
    target = int(match[1])
    nearest = min(strides, key=lambda stride: (max(stride, target) / min(stride, target), stride))
    return max(i for i, stride in enumerate(strides) if stride == nearest)

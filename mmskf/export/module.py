"""A model as one module from a plain RGB image to the enhanced image, which PyTorch can export."""
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mmskf.models.editors.enhancement_editor import EnhancementEditor, Outputs, full_size, pad_to_multiple
from mmskf.models.se_modules import SEModuleList
from mmskf.models.whole_image import enhance_whole, statistics_of_whole
from mmskf.structures import Prior, SemanticPrior

#: Height and width of the image that a model is traced with: odd, so that all padding is in the graph.
TRACED_SIZE = (75, 109)


class ExportModule(nn.Module):
    """The base of what is exported: a model without losses and discriminators, as one module.

    Args:
        editor (EnhancementEditor): The model, in eval mode.
        steps (Sequence[callable]): What its test pipeline computes from the pixels, image -> image with more channels.
        given_prior (bool): Whether the prior is an input instead of being computed by the model's knowledge bank.
    """

    def __init__(self, editor: EnhancementEditor, steps: list[Any], given_prior: bool = False):
        super().__init__()
        self.generator = editor.generator
        bank = None if given_prior else getattr(editor, 'skb', None)
        # The bank hides its network from its owner, but here its weights are part of what is exported.
        self.bank = bank and bank.network
        self.steps, self.given_prior = steps, given_prior
        self._editor = (editor, )  # not a submodule: losses and discriminators are not exported

    @property
    def editor(self) -> EnhancementEditor:
        """The model."""
        return self._editor[0]

    def inputs(self, image: Tensor) -> Tensor:
        """What the generator is given: with the channels that the pipeline appends, and padded."""
        for step in self.steps:
            image = step(image)
        return pad_to_multiple(image, self.editor.size_divisor)

    @staticmethod
    def enhanced(outputs: Outputs, image: Tensor) -> Tensor:
        """The enhanced image in a generator's outputs, cropped to the size of the image, unclamped."""
        enhanced = full_size(outputs)
        # Not by slices: whether these are contiguous depends on the size, which would become a condition of the program.
        for axis in (-2, -1):
            enhanced = enhanced.index_select(axis, torch.arange(image.shape[axis], device=image.device))
        return enhanced


class ImageEnhancementModule(ExportModule):
    """Everything that an editor does in testing with one image: prepare, pad, segment, enhance, crop and clamp.

    Shape:
        image (1, 3, H, W), RGB in [0, 1]; prior, if it is given: name -> (1, C, h, w), for the names of :func:`prior_sources`
        -> (1, 3, H, W), RGB in [0, 1]
    """

    def forward(self, image: Tensor, prior: dict[str, Tensor] | None = None) -> Tensor:
        inputs = self.inputs(image)
        known: Prior = self.editor.test_prior(inputs) if prior is None else given(prior)
        return self.enhanced(self.editor.generate(inputs, known), image).clamp(0, 1)


class WholeImageModule(ExportModule):
    """The same, which also returns what :class:`TileModule` needs: see :mod:`mmskf.models.whole_image`.

    Shape:
        image (1, 3, H, W), RGB in [0, 1] -> the enhanced image (1, 3, H, W); name -> map of the prior (1, C, h, w), for the names
        of :func:`prior_sources`; and the statistics of the image, each of a shape of its own
    """

    def forward(self, image: Tensor) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        outputs, prior, statistics = enhance_whole(self.editor, self.inputs(image))
        maps = {} if prior is None else {name: prior.source(index_of(name)) for name in prior_sources(self.editor)}
        return self.enhanced(outputs, image).clamp(0, 1), maps, statistics


class TileModule(ExportModule):
    """Enhances a part of an image, given the prior of this part and the statistics of the whole image.

    Shape:
        image (1, 3, H, W), RGB in [0, 1]; prior: name -> (1, C, h, w); statistics, each of a shape of its own
        -> (1, 3, H, W), RGB, unclamped: tiles are blended first
    """

    def forward(self, image: Tensor, prior: dict[str, Tensor], statistics: list[Tensor]) -> Tensor:
        with statistics_of_whole(statistics):
            outputs = self.editor.generate(self.inputs(image), given(prior) if prior else None)
        return self.enhanced(outputs, image)


def index_of(name: str) -> int | str:
    """The source of an SE module that a map is named after: see :func:`prior_sources`."""
    return name if name == 'logits' else int(name.removeprefix('feature_'))


def given(maps: dict[str, Tensor]) -> SemanticPrior:
    """The prior with maps named as by :func:`prior_sources`; others are missing."""
    indices = [index for index in map(index_of, maps) if isinstance(index, int)]
    features: list[Any] = [maps.get(f'feature_{index}') for index in range(max(indices, default=-1) + 1)]
    return SemanticPrior(features, maps.get('logits'))


def prior_sources(editor: EnhancementEditor) -> dict[str, int]:
    """The maps of a prior that the SE modules of a model read: 'feature_0' (the finest)... or 'logits' -> channels."""
    found = {source if source == 'logits' else f'feature_{source}': module.semantic_channels
             for modules in editor.generator.modules() if isinstance(modules, SEModuleList)
             for source, module in zip(modules.sources, modules)}
    return dict(sorted(found.items()))


def pipeline_steps(editor: EnhancementEditor) -> Iterator[Any]:
    """What the test pipeline of a model's config computes from the pixels, as functions of tensors.

    Raises:
        ValueError: If a step of the pipeline has no such form; names it.
    """
    from mmcv.transforms import Compose
    from mmengine.registry import DefaultScope

    from mmskf.apis.config import first_test_dataloader
    from mmskf.datasets import without_ground_truth

    with DefaultScope.overwrite_default_scope('mmskf'):
        steps = Compose(without_ground_truth(first_test_dataloader(editor.cfg).dataset.pipeline)).transforms
    for step in steps:
        if hasattr(step, 'of_tensor'):
            yield step.of_tensor
        elif type(step).__name__ not in ('LoadImage', 'PackInputs'):
            raise ValueError(f'the step {type(step).__name__} of its test pipeline has no method of_tensor, which computes the '
                             'same from a tensor')

"""Enhances large images in tiles, while statistics of the whole image are computed once, from the whole image.

A network that uses such statistics says so in one of two ways. A few numbers, like the weights of channel attention, are passed
through :func:`whole_image` where they are computed. Pixelwise maps, like the SNR map, are returned by
:meth:`EnhancementNet.maps_of_whole`.
"""
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmskf.structures import Prior, SemanticPrior
from mmskf.utils.tiles import grid_of, resampling, shares_of, shrunk_size

if TYPE_CHECKING:
    from .editors.enhancement_editor import EnhancementEditor, Outputs


class _Statistics:
    """Statistics of a whole image, in the order of their computation; ``position`` is None while they are collected."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []
        self.position: int | None = None


_current: _Statistics | None = None


def whole_image(statistic: Tensor) -> Tensor:
    """Marks a statistic of the whole image: in a tile, that of the whole image is returned instead.

    Args:
        statistic (Tensor): A tensor whose shape does not depend on the image size.
    """
    if _current is None:
        return statistic
    if _current.position is None:
        _current.values.append(statistic)
        return statistic
    known = _current.values[_current.position]
    if known.shape != statistic.shape:
        raise RuntimeError(f'whole_image() was given a statistic of shape {tuple(statistic.shape)} in a tile and of '
                           f'{tuple(known.shape)} in the whole image: its shape must not depend on the size')
    _current.position += 1
    return known


@contextmanager
def statistics_of_whole(values: list[Tensor] | None = None) -> Iterator[list[Tensor]]:
    """Collects the statistics of the whole image or, if they are given, supplies them to a tile."""
    global _current
    before, _current = _current, _Statistics()
    if values is not None:
        _current.values, _current.position = values, 0
    try:
        yield _current.values
    finally:
        _current = before


class Window(NamedTuple):
    """A tile: rows top to bottom and columns left to right."""
    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: Tensor) -> Tensor:
        """This part of (..., H, W)."""
        return image[..., self.top:self.bottom, self.left:self.right]


def prior_of_window(prior: SemanticPrior, window: Window, size: Sequence[int], seen: Sequence[int]) -> SemanticPrior:
    """The part of a prior that belongs to a tile, as if the knowledge bank had seen the image at full size.

    Args:
        prior (SemanticPrior): Prior of the whole image, downsampled to ``seen``.
        window (Window): The tile.
        size (Sequence[int]): Height and width of the whole image.
        seen (Sequence[int]): Height and width at which the bank saw it; its maps are interpolated to the resolution that they
            would have at full size.
    """

    def cut(maps: Tensor) -> Tensor:
        for dim, span in ((-2, window[:2]), (-1, window[2:])):
            *cells, weight = map(torch.from_numpy, resampling(maps.shape[dim], span, size[dim], seen[dim]))
            first, second = (maps.index_select(dim, index.to(maps.device)) for index in cells)
            maps = torch.lerp(first, second, weight.to(maps).view([-1 if i == maps.ndim + dim else 1 for i in range(maps.ndim)]))
        return maps

    return SemanticPrior([cut(feature) for feature in prior.features], None if prior.logits is None else cut(prior.logits))


class _Asked:
    """A knowledge bank that remembers its answer."""

    def __init__(self, bank: Callable[[Tensor], SemanticPrior]):
        self.bank = bank
        self.answer: SemanticPrior | None = None

    def __call__(self, image: Tensor) -> SemanticPrior:
        self.answer = self.bank(image)
        return self.answer


def _shrunk(image: Tensor, max_pixels: int, divisor: int) -> Tensor:
    """Downsamples (N, C, H, W) to about ``max_pixels`` or less, with sides that are multiples of ``divisor``."""
    size = shrunk_size(image.shape[-2:], max_pixels, divisor)
    return F.interpolate(image, size=size, mode='area')


def enhance_in_tiles(editor: 'EnhancementEditor', inputs: Tensor, gt: Tensor | None, max_pixels: int) -> Tensor:
    """Enhances images that are too large for the memory, in overlapping tiles that are blended.

    First the whole image is enhanced at ``max_pixels`` or less. This pass gives the prior, of whichever image the generator asks
    for, and all statistics of the whole image (:func:`whole_image`). Then the tiles are enhanced with these.

    Args:
        editor (EnhancementEditor): The editor whose ``test_prior`` and ``generate`` are called.
        inputs (Tensor): Low-light images (N, C, H, W), H and W multiples of the generator's ``size_divisor``.
        gt (Tensor, optional): Ground truth (N, 3, H, W), as for :meth:`EnhancementEditor.test`.
        max_pixels (int): Maximum pixels of a tile; but no side is shorter than four times the alignment.

    Returns:
        Tensor: (N, 3, H, W), unclamped, float32.
    """
    divisor, size = editor.size_divisor, inputs.shape[-2:]
    generator = editor.generator.module if is_model_wrapper(editor.generator) else editor.generator
    maps = generator.maps_of_whole(inputs)
    small = _shrunk(inputs, max_pixels, divisor)
    _, prior, values = enhance_whole(editor, small, None if gt is None else _shrunk(gt, max_pixels, divisor),
                                     {name: _shrunk(value, max_pixels, divisor) for name, value in maps.items()})
    seen = small.shape[-2:]

    result = inputs.new_zeros(len(inputs), 3, *size, dtype=torch.float32)
    rows, columns, context = grid_of(size, max_pixels, generator.context, divisor)
    shares = [[torch.from_numpy(share).to(result) for share in shares_of(spans, context)] for spans in (rows, columns)]
    for (top, bottom), share_down in zip(rows, shares[0]):
        for (left, right), share_across in zip(columns, shares[1]):
            window = Window(top, bottom, left, right)
            with statistics_of_whole(values):
                image = editor.generate(window.of(inputs), prior and prior_of_window(prior, window, size, seen),
                                        None if gt is None else window.of(gt),
                                        **{name: window.of(value) for name, value in maps.items()})
            image = image[0] if isinstance(image, (tuple, list)) else image
            window.of(result).add_(image.float() * share_down[:, None] * share_across)
    return result


def enhance_whole(editor: 'EnhancementEditor', inputs: Tensor, gt: Tensor | None = None, maps: dict[str, Tensor] | None = None
                  ) -> tuple['Outputs', SemanticPrior | None, list[Tensor]]:
    """Enhances whole images, and collects what their tiles need.

    Args:
        editor (EnhancementEditor): The editor.
        inputs (Tensor): Low-light images (N, C, H, W), H and W multiples of the generator's ``size_divisor``.
        gt (Tensor, optional): Ground truth (N, 3, H, W), as for :meth:`EnhancementEditor.test`. Defaults to None.
        maps (dict[str, Tensor], optional): The generator's :meth:`EnhancementNet.maps_of_whole`. Defaults to None.

    Returns:
        tuple: The generator's outputs, the prior that it used, and the statistics of the whole images.
    """
    prior: Prior = editor.test_prior(inputs, gt)
    if callable(prior):
        prior = _Asked(prior)
    with statistics_of_whole() as values:
        outputs = editor.generate(inputs, prior, gt, **(maps or {}))
    return outputs, prior.answer if isinstance(prior, _Asked) else prior, values

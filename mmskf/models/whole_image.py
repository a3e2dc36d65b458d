"""Enhances large images in tiles, while statistics of the whole image are computed once, from the whole image.

A network that uses such statistics says so in one of two ways. A few numbers, like the weights of channel attention, are passed
through :func:`whole_image` where they are computed. Pixelwise maps, like the SNR map, are returned by
:meth:`EnhancementNet.maps_of_whole`.
"""
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import is_model_wrapper
from torch import Tensor

from mmskf.structures import Prior, SemanticPrior

if TYPE_CHECKING:
    from .editors import EnhancementEditor

ALIGNMENT = 16  # Tiles start at multiples of it: the coarsest scale of a network that takes any size.
RAMP = 64  # Pixels over which one tile is blended into the next.


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
def _statistics(values: list[Tensor] | None = None) -> Iterator[list[Tensor]]:
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


def _spans(length: int, side: int, overlap: int, alignment: int) -> list[tuple[int, int]]:
    """Overlapping spans of ``side`` or less that cover a length and start at multiples of the alignment."""
    if length <= side:
        return [(0, length)]
    shared = overlap + alignment
    count = math.ceil((length - shared) / (side - shared))
    # The same number of spans may be shorter, if the last one would hardly be needed.
    side = math.ceil((length + (count - 1) * shared) / count / alignment) * alignment
    starts = [(length - side) * i // (count - 1) // alignment * alignment for i in range(count)]
    return [(start, min(start + side, length)) for start in starts[:-1]] + [(starts[-1], length)]


def _shares(spans: list[tuple[int, int]], context: int, like: Tensor) -> list[Tensor]:
    """The blending weights of each span: a ramp where it meets its neighbor, 0 where it lacks its context, else 1."""
    shares = [torch.ones(end - start, device=like.device) for start, end in spans]
    total = like.new_zeros(spans[-1][1])
    for first, second, (_, end), (start, _) in zip(shares, shares[1:], spans, spans[1:]):
        shared = torch.arange(end - start, device=like.device)
        ramp = ((shared - context) / (len(shared) - 1 - 2 * context)).clamp(0, 1)
        first[len(first) - len(ramp):] *= 1 - ramp
        second[:len(ramp)] *= ramp
    for share, (start, end) in zip(shares, spans):
        total[start:end] += share
    return [share / total[start:end] for share, (start, end) in zip(shares, spans)]


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
        for dim, (low, high) in ((-2, window[:2]), (-1, window[2:])):
            cells, stride = maps.shape[dim], seen[dim] / maps.shape[dim]
            count = max(1, round((high - low) / stride))
            centers = low + (torch.arange(count, device=maps.device) + 0.5) * stride
            place = (centers * (cells / size[dim]) - 0.5).clamp(0, cells - 1)
            first = place.floor().long()
            weight = (place - first).to(maps).view([-1 if i == maps.ndim + dim else 1 for i in range(maps.ndim)])
            maps = torch.lerp(maps.index_select(dim, first), maps.index_select(dim, (first + 1).clamp(max=cells - 1)), weight)
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
    scale = math.sqrt(max_pixels / image[0, 0].numel())
    size = [max(1, int(side * scale) // divisor) * divisor for side in image.shape[-2:]]
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
    prior, seen, values = _of_whole(editor, _shrunk(inputs, max_pixels, divisor),
                                    None if gt is None else _shrunk(gt, max_pixels, divisor),
                                    {name: _shrunk(value, max_pixels, divisor) for name, value in maps.items()})

    result = inputs.new_zeros(len(inputs), 3, *size, dtype=torch.float32)
    rows, columns, context = _grid(size, max_pixels, generator.context, divisor)
    for (top, bottom), share_down in zip(rows, _shares(rows, context, result)):
        for (left, right), share_across in zip(columns, _shares(columns, context, result)):
            window = Window(top, bottom, left, right)
            with _statistics(values):
                image = editor.generate(window.of(inputs), prior and prior_of_window(prior, window, size, seen),
                                        None if gt is None else window.of(gt),
                                        **{name: window.of(value) for name, value in maps.items()})
            image = image[0] if isinstance(image, (tuple, list)) else image
            window.of(result).add_(image.float() * share_down[:, None] * share_across)
    return result


def _of_whole(editor: 'EnhancementEditor', inputs: Tensor, gt: Tensor | None, maps: dict[str, Tensor]
              ) -> tuple[SemanticPrior | None, Sequence[int], list[Tensor]]:
    """Enhances the whole image at a small size; returns its prior, that size, and its statistics."""
    prior: Prior = editor.test_prior(inputs, gt)
    if callable(prior):
        prior = _Asked(prior)
    with _statistics() as values:
        editor.generate(inputs, prior, gt, **maps)
    return prior.answer if isinstance(prior, _Asked) else prior, inputs.shape[-2:], values


def _grid(size: Sequence[int], max_pixels: int, context: int, divisor: int
          ) -> tuple[list[tuple[int, int]], list[tuple[int, int]], int]:
    """The spans of rows and of columns whose products are the tiles, and the context of these.

    Tiles are squares, or longer if the image is narrow. Small ones get less context, so that little is computed twice.
    """
    alignment = math.lcm(ALIGNMENT, divisor)

    def fitting(length: int) -> int:
        # The last span of a row may be longer than the others, by less than the alignment.
        return max(4 * alignment, (length + divisor - alignment) // alignment * alignment)

    square = fitting(math.isqrt(max_pixels))
    context = min(context, square // 8)
    overlap = 2 * context + min(RAMP, square // 8)
    height, width = size
    tall = fitting(max_pixels // width) if width < square else square
    wide = fitting(max_pixels // height) if height < square else square
    return _spans(height, tall, overlap, alignment), _spans(width, wide, overlap, alignment), context

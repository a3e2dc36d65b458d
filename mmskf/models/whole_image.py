"""Large images in tiles, with what a method computes from the whole image computed once, from the whole.

A network that computes something of the whole image says so in one of two ways. What comes as a few numbers, like the weights of
an attention over channels, is passed through :func:`whole_image` where it is computed. What comes pixel by pixel, like the
SNR map, is returned by :meth:`EnhancementNet.maps_of_whole`.
"""
import math
from contextlib import contextmanager
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmskf.structures import SemanticPrior

ALIGNMENT = 16  # Tiles begin at multiples of it: the coarsest scale of a network that takes any size.
RAMP = 64  # Pixels over which one tile passes into the next.


class _Statistics:
    """What was computed of a whole image, in the order of the computation; ``position`` is None while it is collected."""

    def __init__(self) -> None:
        self.values: List[Tensor] = []
        self.position: Optional[int] = None


_current: Optional[_Statistics] = None


def whole_image(statistic: Tensor) -> Tensor:
    """Marks a tensor that says something of the whole image: in a tile, that of the whole is returned in its place.

    Args:
        statistic (Tensor): Of a shape that does not depend on the size of the image.
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
def _statistics(values: Optional[List[Tensor]] = None) -> Iterator[List[Tensor]]:
    """Collects the statistics of the whole image; where they are given, hands them out to a tile."""
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


def _spans(length: int, side: int, overlap: int, alignment: int) -> List[Tuple[int, int]]:
    """Spans of ``side`` or less that cover a length, begin at multiples of the alignment, and overlap."""
    if length <= side:
        return [(0, length)]
    shared = overlap + alignment
    count = math.ceil((length - shared) / (side - shared))
    # As many spans can do with less, where the last one would hardly be needed.
    side = math.ceil((length + (count - 1) * shared) / count / alignment) * alignment
    starts = [(length - side) * i // (count - 1) // alignment * alignment for i in range(count)]
    return [(start, min(start + side, length)) for start in starts[:-1]] + [(starts[-1], length)]


def _shares(spans: List[Tuple[int, int]], context: int, like: Tensor) -> List[Tensor]:
    """The share of each span in what is added up: a ramp where it meets its neighbor, 0 for what lacks its context, else 1."""
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
    """The part of a prior that belongs to a tile, as if the knowledge bank had seen the image at its full size.

    Args:
        prior (SemanticPrior): Of the whole image, reduced to ``seen``.
        window (Window): The tile.
        size (Sequence[int]): Height and width of the whole image.
        seen (Sequence[int]): Height and width of what the bank saw of it; its maps are interpolated to what they would be, had
            that been all.
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
    """A knowledge bank that remembers what it answered."""

    def __init__(self, bank: Callable[[Tensor], SemanticPrior]):
        self.bank = bank
        self.answer: Optional[SemanticPrior] = None

    def __call__(self, image: Tensor) -> SemanticPrior:
        self.answer = self.bank(image)
        return self.answer


def _shrunk(image: Tensor, max_pixels: int, divisor: int) -> Tensor:
    """(N, C, H, W) at a size of about ``max_pixels`` or less, of sides that are multiples of ``divisor``."""
    scale = math.sqrt(max_pixels / image[0, 0].numel())
    size = [max(1, int(side * scale) // divisor) * divisor for side in image.shape[-2:]]
    return F.interpolate(image, size=size, mode='area')


def enhance_in_tiles(editor: nn.Module, inputs: Tensor, gt: Optional[Tensor], max_pixels: int) -> Tensor:
    """Enhances images that are too large for the memory, in tiles that overlap and are blended.

    First the whole image is enhanced at a size of ``max_pixels`` or less. From this come the prior, whichever image the
    generator asks it of, and every statistic of the whole image (:func:`whole_image`). Then come the tiles, with these.

    Args:
        editor (SKFEditor): Whose ``test_prior`` and ``generate`` are called.
        inputs (Tensor): Low-light images (N, C, H, W), H and W multiples of the generator's ``size_divisor``.
        gt (Tensor, optional): Ground truth (N, 3, H, W), as for :meth:`EnhancementEditor.test`.
        max_pixels (int): Pixels of a tile, at most; but no side is shorter than four times the alignment.

    Returns:
        Tensor: (N, 3, H, W), unclamped, float32.
    """
    divisor, size = editor.size_divisor, inputs.shape[-2:]
    generator = editor.generator.module if is_model_wrapper(editor.generator) else editor.generator
    maps = generator.maps_of_whole(inputs)
    small, small_gt = (None if x is None else _shrunk(x, max_pixels, divisor) for x in (inputs, gt))
    prior = editor.test_prior(small, small_gt)
    asked = _Asked(prior) if callable(prior) else None
    with _statistics() as values:
        editor.generate(small, asked or prior, small_gt,
                        **{name: _shrunk(value, max_pixels, divisor) for name, value in maps.items()})
    prior, seen = asked.answer if asked else prior, small.shape[-2:]
    del small, small_gt, asked

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


def _grid(size: Sequence[int], max_pixels: int, context: int, divisor: int
          ) -> Tuple[List[Tuple[int, int]], List[Tuple[int, int]], int]:
    """The spans of rows and of columns whose products are the tiles, and how much of their context these have.

    Tiles are squares, or longer where the image is narrow. Small ones get less context, so that little is computed twice.
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

"""The geometry of enhancing in tiles, with and without PyTorch: where they are, how they are blended, and their parts of maps."""
import math
from collections.abc import Sequence

import numpy as np

ALIGNMENT = 16  # Tiles start at multiples of it: the coarsest scale of a network that takes any size.
RAMP = 64  # Pixels over which one tile is blended into the next.

Span = tuple[int, int]


def spans_of(length: int, side: int, overlap: int, alignment: int) -> list[Span]:
    """Overlapping spans of ``side`` or less that cover a length and start at multiples of the alignment."""
    if length <= side:
        return [(0, length)]
    shared = overlap + alignment
    count = math.ceil((length - shared) / (side - shared))
    # The same number of spans may be shorter, if the last one would hardly be needed.
    side = math.ceil((length + (count - 1) * shared) / count / alignment) * alignment
    starts = [(length - side) * i // (count - 1) // alignment * alignment for i in range(count)]
    return [(start, min(start + side, length)) for start in starts[:-1]] + [(starts[-1], length)]


def shares_of(spans: list[Span], context: int) -> list[np.ndarray]:
    """The blending weights of each span, float32: a ramp where it meets its neighbor, 0 where it lacks its context, else 1."""
    shares = [np.ones(end - start, np.float32) for start, end in spans]
    total = np.zeros(spans[-1][1], np.float32)
    for first, second, (_, end), (start, _) in zip(shares, shares[1:], spans, spans[1:]):
        shared = np.arange(end - start, dtype=np.float32)
        ramp = ((shared - context) / (len(shared) - 1 - 2 * context)).clip(0, 1)
        first[len(first) - len(ramp):] *= 1 - ramp
        second[:len(ramp)] *= ramp
    for share, (start, end) in zip(shares, spans):
        total[start:end] += share
    return [share / total[start:end] for share, (start, end) in zip(shares, spans)]


def grid_of(size: Sequence[int], max_pixels: int, context: int, divisor: int) -> tuple[list[Span], list[Span], int]:
    """The spans of rows and of columns whose products are the tiles, and the context of these.

    Tiles are squares, or longer if the image is narrow. Small ones get less context, so that little is computed twice.

    Args:
        size (Sequence[int]): Height and width of the image, multiples of ``divisor``.
        max_pixels (int): Maximum pixels of a tile; but no side is shorter than four times the alignment.
        context (int): Distance, in pixels, from which the border of a tile affects the result.
        divisor (int): Height and width of a tile are multiples of it.
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
    return spans_of(height, tall, overlap, alignment), spans_of(width, wide, overlap, alignment), context


def shrunk_size(size: Sequence[int], max_pixels: int, divisor: int) -> tuple[int, int]:
    """Height and width of an image of about ``max_pixels`` or less, multiples of ``divisor``."""
    scale = math.sqrt(max_pixels / math.prod(size))
    height, width = (max(1, int(side * scale) // divisor) * divisor for side in size)
    return height, width


def resampling(cells: int, span: Span, length: int, seen: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How a map along one axis is resampled for a tile, as if it had been computed from the image at full size.

    Args:
        cells (int): Length of the map of the whole image.
        span (tuple[int, int]): The tile, in pixels.
        length (int): Length of the whole image.
        seen (int): Length of the downsampled image that the map was computed from: its cells are interpolated to the resolution
            that they would have at full size.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: For each cell of the tile the two cells to interpolate between, int64, and the
        weight of the second, float64.
    """
    low, high = span
    stride = seen / cells
    count = max(1, round((high - low) / stride))
    centers = low + (np.arange(count) + 0.5) * stride
    place = (centers * (cells / length) - 0.5).clip(0, cells - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, cells - 1), place - first

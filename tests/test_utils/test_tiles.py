import math
from itertools import pairwise

import numpy as np
import pytest

from mmskf.utils.tiles import grid_of, resampling, shares_of, shrunk_size, spans_of


@pytest.mark.parametrize('length', [64, 256, 257, 300, 399, 400, 640, 1000, 4001])
@pytest.mark.parametrize('side, overlap, alignment', [(256, 64, 32), (192, 64, 32), (576, 96, 96)])
@pytest.mark.parametrize('context', [0, 24])
def test_spans_cover_a_length(length, side, overlap, alignment, context):
    spans = spans_of(length, side, overlap, alignment)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % alignment == 0 for start, _ in spans)
    assert max(end - start for start, end in spans) < side + alignment
    assert all(first[1] - second[0] >= overlap for first, second in pairwise(spans))
    total = np.zeros(length)
    for (start, end), share in zip(spans, shares_of(spans, context)):
        assert len(share) == end - start and share.min() >= 0
        assert start == 0 or share[:context].sum() == 0
        assert end == length or share[len(share) - context:].sum() == 0
        total[start:end] += share
    assert np.allclose(total, 1)


@pytest.mark.parametrize('size', [(1000, 1500), (4000, 6000), (96, 9000), (9000, 96), (700, 700)])
@pytest.mark.parametrize('divisor', [1, 4, 16])
def test_tiles_are_no_larger_than_allowed(size, divisor):
    size = [side // divisor * divisor for side in size]
    rows, columns, context = grid_of(size, 300_000, 48, divisor)
    assert context == 48
    areas = [(bottom - top) * (right - left) for top, bottom in rows for left, right in columns]
    assert max(areas) <= 300_000
    # What is computed twice stays within bounds.
    assert sum(areas) < 2.5 * math.prod(size)


def test_the_smaller_image_keeps_its_shape():
    assert shrunk_size((4000, 6000), 1_000_000, 16) == (816, 1216)
    assert shrunk_size((8, 80_000), 1000, 4) == (4, 3160)  # a side is never 0


def test_resampling_at_the_same_size_is_a_cut():
    first, second, weight = resampling(24, (32, 64), 96, 96)
    assert first.tolist() == list(range(8, 16)) and np.all(weight == 0) and second[-1] == 16

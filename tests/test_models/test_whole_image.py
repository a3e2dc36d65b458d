import math
from itertools import pairwise

import pytest
import torch

from mmskf.models.whole_image import Window, _grid, _shares, _spans, _statistics, prior_of_window, whole_image
from mmskf.structures import SemanticPrior


@pytest.mark.parametrize('length', [64, 256, 257, 300, 399, 400, 640, 1000, 4001])
@pytest.mark.parametrize('side, overlap, alignment', [(256, 64, 32), (192, 64, 32), (576, 96, 96)])
@pytest.mark.parametrize('context', [0, 24])
def test_spans_cover_a_length(length, side, overlap, alignment, context):
    spans = _spans(length, side, overlap, alignment)
    assert spans[0][0] == 0 and spans[-1][1] == length
    assert all(start % alignment == 0 for start, _ in spans)
    assert max(end - start for start, end in spans) < side + alignment
    assert all(first[1] - second[0] >= overlap for first, second in pairwise(spans))
    total = torch.zeros(length)
    for (start, end), share in zip(spans, _shares(spans, context, total)):
        assert len(share) == end - start and share.min() >= 0
        assert start == 0 or share[:context].sum() == 0
        assert end == length or share[len(share) - context:].sum() == 0
        total[start:end] += share
    assert torch.allclose(total, torch.ones(length))


@pytest.mark.parametrize('size', [(1000, 1500), (4000, 6000), (96, 9000), (9000, 96), (700, 700)])
@pytest.mark.parametrize('divisor', [1, 4, 16])
def test_tiles_are_no_larger_than_allowed(size, divisor):
    size = [side // divisor * divisor for side in size]
    rows, columns, context = _grid(size, 300_000, 48, divisor)
    assert context == 48
    areas = [(bottom - top) * (right - left) for top, bottom in rows for left, right in columns]
    assert max(areas) <= 300_000
    # What is computed twice stays within bounds.
    assert sum(areas) < 2.5 * math.prod(size)


def test_statistics_of_the_whole_are_those_of_the_tiles():
    def network(image):
        return image - whole_image(image.mean(dim=(2, 3), keepdim=True)) + whole_image(image.amax(dim=(2, 3), keepdim=True))

    image = torch.rand(1, 2, 6, 8)
    whole = network(image)
    with _statistics() as values:
        network(image)
    for left in (0, 4):
        with _statistics(values):
            assert torch.equal(network(image[..., left:left + 4]), whole[..., left:left + 4])
    assert len(values) == 2 and torch.equal(network(image), whole)
    with pytest.raises(RuntimeError, match='must not depend on the size'), _statistics(values):
        whole_image(torch.zeros(1, 2))


def test_prior_of_a_tile_at_full_size_is_a_cut():
    features = [torch.rand(1, 3, 16, 24), torch.rand(1, 5, 4, 6)]  # strides 4 and 16 of 64x96
    prior = SemanticPrior(features, torch.rand(1, 2, 64, 96))
    part = prior_of_window(prior, Window(16, 48, 32, 96), (64, 96), (64, 96))
    assert torch.equal(part.logits, prior.logits[..., 16:48, 32:96])
    assert torch.equal(part.features[0], features[0][..., 4:12, 8:24])
    assert torch.equal(part.features[1], features[1][..., 1:3, 2:6])


def test_prior_of_a_tile_of_a_reduced_image_is_enlarged():
    """Maps that are linear in place stay so: at a quarter of the size, a ramp has the values of the full size."""
    ramp = (torch.arange(24) + 0.5) / 24
    prior = SemanticPrior([ramp.expand(1, 1, 16, 24)], None)
    part = prior_of_window(prior, Window(0, 64, 96, 288), (256, 384), (64, 96))
    size = part.features[0].shape[-1]
    assert part.features[0].shape[-2] == 16 and size == 48  # stride 4 at the full size, too
    expected = (96 + (torch.arange(size) + 0.5) * 4) / 384
    assert torch.allclose(part.features[0][0, 0, 0], expected.clamp(ramp[0], ramp[-1]))
    assert part.logits is None

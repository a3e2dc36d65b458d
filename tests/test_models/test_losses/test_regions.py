import pytest
import torch

from mmskf.models.losses import inside_regions


def naive(labels, edge_width):
    inside = torch.empty_like(labels, dtype=torch.bool)
    for n, y, x in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        window = labels[n, max(y - edge_width, 0):y + edge_width + 1, max(x - edge_width, 0):x + edge_width + 1]
        inside[n, y, x] = bool((window == labels[n, y, x]).all())
    return inside


@pytest.mark.parametrize('edge_width', [0, 1, 2, 12])
def test_equals_the_definition(edge_width):
    coarse = torch.randint(0, 59, (2, 1, 3, 4), generator=torch.Generator().manual_seed(0))
    labels = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, 0, :11, :15]
    assert torch.equal(inside_regions(labels, edge_width), naive(labels, edge_width))


def test_a_straight_boundary_costs_its_width_on_both_sides():
    labels = torch.zeros(1, 6, 20, dtype=torch.int64)
    labels[..., 10:] = 58
    expected = torch.ones(1, 6, 20, dtype=torch.bool)
    expected[..., 8:12] = False
    assert torch.equal(inside_regions(labels, 2), expected)


def test_the_border_of_the_image_is_no_boundary():
    assert inside_regions(torch.full((2, 5, 7), 255), 3).all()


def test_negative_width():
    with pytest.raises(ValueError, match='edge_width is -1'):
        inside_regions(torch.zeros(1, 4, 4, dtype=torch.int64), -1)

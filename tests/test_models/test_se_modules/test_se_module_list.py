"""Which map of the prior each SE module reads."""
import pytest
import torch

from mmskf.models.se_modules import SEModuleList
from mmskf.structures import SemanticPrior

WIDTHS = {0: 4, 1: 6, 2: 8, 3: 10, 'logits': 5}


def build(sources, strides=(4, 8, 8, 32)):
    se = dict(type='SEModule', sources=sources, semantic_channels=WIDTHS)
    return SEModuleList(dict(se, semantic_strides=strides) if strides else se, channels=(8, ) * len(sources))


@pytest.mark.parametrize('strides, sources, expected', [
    ((4, 8, 16, 32), ('stride:16', 'stride:8', 'stride:4'), (2, 1, 0)),
    ((4, 8, 8, 8), ('stride:8', 'stride:32', 'stride:1'), (3, 3, 0)),  # the last of several, and the nearest of none
    ((4, 16, 64), ('stride:8', 'stride:9', 'stride:7'), (0, 1, 0)),  # by ratio; the finer of two
    ((14, 14), ('stride:16', 1, 0), (1, 1, 0)),
    ((8, ), ('stride:4', 0, 'logits'), (0, 0, 'logits')),
    ((4, 8, 16, 32), (0, 'logits', 'stride:32'), (0, 'logits', 3)),
])
def test_sources(strides, sources, expected):
    modules = build(sources, strides)
    assert modules.sources == expected
    assert [module.semantic_channels for module in modules] == [WIDTHS[source] for source in expected]


def test_reads_the_map_of_the_nearest_stride():
    torch.manual_seed(0)
    modules = build(('stride:8', ))
    features = [torch.rand(1, WIDTHS[i], 4, 4) for i in range(4)]
    image = torch.rand(1, 8, 8, 8)
    out = modules(0, image, SemanticPrior(features, torch.rand(1, 5, 16, 16)))
    assert torch.equal(out, modules[0](image, features[2]))


@pytest.mark.parametrize('source', ['stride:0', 'stride:-8', 'stride:fine', 'stride:', 'stride:8 ', 'probs', 4, -1])
def test_sources_that_do_not_exist(source):
    with pytest.raises(ValueError, match=r"se.sources names .*choose from \[0, 1, 2, 3, 'logits'\], or 'stride:N' for the "
                                         r'nearest of the strides \(4, 8, 8, 32\)'):
        build((source, ))


def test_strides_need_a_bank_that_tells_them():
    with pytest.raises(ValueError, match=r"se.sources names 'stride:8'.*choose from \[0, 1, 2, 3, 'logits'\]$"):
        build(('stride:8', ), strides=None)

import pytest
import torch
from mmagic.structures import DataSample

from mmskf.registry import MODELS


def batch():
    """Two images and their ground truths, each of one value."""
    meta = dict(img_channel_order='rgb', gt_channel_order='rgb')
    images = [torch.full((3, 4, 4), value, dtype=torch.uint8) for value in (0, 51)]
    return dict(inputs=images, data_samples=[DataSample(gt_img=5 * image, metainfo=meta) for image in images])


def mixed(seed, **options):
    torch.manual_seed(seed)
    data = MODELS.build(dict(type='MixUpPreprocessor', **options))(batch(), training=options != {})
    return data['inputs'][:, 0, 0, 0], data['data_samples'].gt_img[:, 0, 0, 0]


def test_images_and_ground_truth_are_mixed_alike():
    """Two images of a batch, 0 and 0.2: a swap gives w * a + (1 - w) * b for both sides, the identity leaves them."""
    swapped = 0
    for seed in range(8):
        inputs, gt = mixed(seed, probability=1.)
        assert torch.allclose(gt, 5 * inputs, atol=1e-6)
        assert inputs.sum().item() == pytest.approx(0.2, abs=1e-6)
        swapped += not torch.equal(inputs, torch.tensor([0., 51 / 255]))
    assert 0 < swapped < 8


def test_share_of_the_batches():
    changed = sum(mixed(seed, probability=0.5)[0][0].item() > 0 for seed in range(200))
    assert 25 < changed < 75  # a half, of which the permutation leaves a half as they are


def test_testing_is_left_alone():
    assert torch.equal(mixed(0)[0], torch.tensor([0., 51 / 255]))


@pytest.mark.parametrize('options', [dict(probability=1.5), dict(beta=0)])
def test_options_that_cannot_be(options):
    with pytest.raises(ValueError, match='choose a probability from 0 to 1, and a beta above 0'):
        MODELS.build(dict(type='MixUpPreprocessor', **options))

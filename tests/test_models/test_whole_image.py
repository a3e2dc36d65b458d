import pytest
import torch

from mmskf.models.whole_image import Window, prior_of_window, statistics_of_whole, whole_image
from mmskf.structures import SemanticPrior


def test_statistics_of_the_whole_are_those_of_the_tiles():
    def network(image):
        return image - whole_image(image.mean(dim=(2, 3), keepdim=True)) + whole_image(image.amax(dim=(2, 3), keepdim=True))

    image = torch.rand(1, 2, 6, 8)
    whole = network(image)
    with statistics_of_whole() as values:
        network(image)
    for left in (0, 4):
        with statistics_of_whole(values):
            assert torch.equal(network(image[..., left:left + 4]), whole[..., left:left + 4])
    assert len(values) == 2 and torch.equal(network(image), whole)
    with pytest.raises(RuntimeError, match='must not depend on the size'), statistics_of_whole(values):
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

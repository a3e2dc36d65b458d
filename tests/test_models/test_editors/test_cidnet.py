import pytest
import torch
from networks import NETWORKS, small_prior

from mmskf.models import CIDNet
from mmskf.models.hvi import rgb_to_hvi


def small(**options):
    torch.manual_seed(0)
    return CIDNet(channels=(4, 4, 8, 16), heads=(1, 2, 2), **options)


@torch.no_grad()
def test_saturation_acts_in_testing_only():
    image = torch.rand(1, 3, 16, 24)
    plain, vivid = small(), small(saturation=1.3)
    assert torch.equal(plain.train()(image).image, vivid.train()(image).image)
    plain, vivid = (net.eval()(image).image for net in (plain, vivid))
    # The largest channel is the intensity, which stays; saturation grows by 1.3, up to 1.
    assert torch.allclose(plain.amax(dim=1), vivid.amax(dim=1))
    high = plain.amax(dim=1)
    before, after = ((image.amax(dim=1) - image.amin(dim=1)) / high for image in (plain, vivid))
    assert torch.allclose(after[high > 0.01], (1.3 * before[high > 0.01]).clamp(max=1), atol=1e-4)
    with pytest.raises(ValueError, match='saturation of CIDNet is -1'):
        small(saturation=-1)


@torch.no_grad()
def test_the_third_level_does_not_see_the_attention_of_the_second():
    """As released: what the attention at 1/4 yields reaches the decoder, but not the levels below."""
    net, seen = small().eval(), []
    for branch in (net.intensity, net.color):
        branch.encoder[2].register_forward_pre_hook(lambda module, args: seen.append(args))
    image = torch.rand(1, 3, 16, 24)
    before = net(image).image
    for branch in (net.intensity, net.color):
        branch.encoder[1].attention.project_out.weight.mul_(3)
    assert not torch.equal(net(image).image, before)
    assert all(torch.equal(*pair) for first, second in zip(seen[:2], seen[2:]) for pair in zip(first, second))


@torch.no_grad()
def test_training_starts_near_the_input_with_and_without_se():
    """Intensity and colors are clipped on the way back to RGB, and what is clipped has no gradient."""
    image, prior = 0.1 * torch.rand(1, 3, 32, 64), small_prior(32, 64)
    for seed in range(3):
        torch.manual_seed(seed)
        for net in (NETWORKS['cidnet'].build(se=False), NETWORKS['cidnet'].build()):
            hvi = rgb_to_hvi(image, net.density)
            assert (net.enhanced(hvi, prior) - hvi).std() < 0.05

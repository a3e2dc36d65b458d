import pytest
import torch
from golden import Golden, shared

from mmskf.converters import CONVERSIONS, check_strictly
from mmskf.models import DRBNNet, ssim
from mmskf.models.editors.drbn.drbn_net import ResidualDenseBlock
from mmskf.weights import read_state_dict

SCALES = ('res1', 'res2', 'res4')


@pytest.mark.parametrize('case', ['dark_crop', 'photo'])
def test_golden_with_released_weights(case):
    weights = read_state_dict(shared('data/weights/drbn_stage1_model_s1.pt'))
    golden = Golden('drbn_real')
    net = DRBNNet().eval()
    converted = CONVERSIONS['drbn'].rename(weights)
    check_strictly(converted, net.state_dict(), parts=None)
    net.load_state_dict(converted)
    with torch.no_grad():
        outputs = net(golden.inputs(case)['x'])
    for name, output in zip(SCALES, outputs):
        golden.check(case, name, output)


def test_dense_block_is_that_of_the_concatenated_features():
    """Also where its weights are computed from others, as weight normalization does."""
    block = ResidualDenseBlock(6, 4, layers=3).double()
    torch.nn.utils.parametrizations.weight_norm(block.convs[1])
    image = torch.rand(2, 6, 9, 11, dtype=torch.float64, requires_grad=True)

    def concatenated(x):
        features = x
        for conv in block.convs:
            features = torch.cat([features, conv(features).relu()], dim=1)
        return x + block.fusion(features)

    results = []
    for function in (block, concatenated):
        output = function(image)
        results.append([output, *torch.autograd.grad(output.square().sum(), [image, *block.parameters()])])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


def test_a_callable_prior_sees_the_third_recurrence():
    """Without SE modules a prior changes nothing, but the callable is still asked, with the image so far."""
    net = DRBNNet().eval()
    image = torch.rand(1, 3, 16, 24)
    seen = []
    with torch.no_grad():
        outputs = net(image, prior=lambda picture: seen.append(picture))
        assert torch.equal(outputs[0], net(image)[0])
        third = DRBNNet(recurrences=3).eval()
        third.load_state_dict({key: value for key, value in net.state_dict().items() if not key.startswith('recurrences.3')})
        assert torch.equal(seen[0], third(image)[0])


def test_ssim_cannot_tell_a_negative_so_the_network_starts_gray():
    image = 0.2 + 0.6 * torch.rand(1, 3, 32, 32)
    assert abs(ssim(image, image) - ssim(-image, image)) < 0.05
    with torch.no_grad():
        for _ in range(5):
            output = DRBNNet()(image)[0]
            assert 0.2 < output.mean(dim=(0, 2, 3)).min() and output.mean(dim=(0, 2, 3)).max() < 0.8

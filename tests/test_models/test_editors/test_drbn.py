import pytest
import torch
from golden import Golden, shared

from mmskf.converters import CONVERSIONS, check_strictly
from mmskf.models import DRBNNet, ssim
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

import pytest
import torch

from mmskf.registry import MODELS

SHAPES = dict(mid_channels=4, enc_blk_nums=[1, 2], middle_blk_num=2, dec_blk_nums=[2, 1])


@pytest.mark.parametrize('size', [(16, 24), (13, 18)])
def test_mmagic_s_weights_give_mmagic_s_images_and_gradients(size):
    torch.manual_seed(0)
    theirs, ours = (MODELS.build(dict(type=f'{scope}.NAFNet', **SHAPES)).double() for scope in ('mmagic', 'mmskf'))
    for parameter in theirs.parameters():  # among them the gates, which start at zero
        torch.nn.init.normal_(parameter, std=0.3)
    ours.load_state_dict(theirs.state_dict())
    assert ours.padder_size == theirs.padder_size
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    outputs = [net(image) for net in (ours, theirs)]
    assert torch.allclose(*outputs, rtol=1e-10)
    gradients = [torch.autograd.grad(output.square().mean(), net.parameters()) for output, net in zip(outputs, (ours, theirs))]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for (name, _), one, other in zip(ours.named_parameters(), *gradients):
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-12), name


def test_same_random_weights_as_mmagic():
    weights = []
    for scope in ('mmagic', 'mmskf'):
        torch.manual_seed(0)
        weights.append(MODELS.build(dict(type=f'{scope}.NAFNet', **SHAPES)).state_dict())
    assert all(torch.equal(weights[0][key], value) for key, value in weights[1].items())

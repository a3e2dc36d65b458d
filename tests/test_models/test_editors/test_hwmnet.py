import pytest
import torch
from mmagic.structures import DataSample
from tiny_segmentor import SEGMENTOR
from torch.autograd import gradcheck

from mmskf.models import HWMNet
from mmskf.models.editors.hwmnet import haar, inverse_haar
from mmskf.registry import MODELS


def test_haar_of_a_block():
    """By hand, for the four pixels a c / b d."""
    a, b, c, d = 1., 2., 4., 8.
    bands = haar(torch.tensor([[[[a, c], [b, d]]]]))
    assert bands.flatten().tolist() == [(a + b + c + d) / 2, (-a - b + c + d) / 2, (-a + b - c + d) / 2, (a - b - c + d) / 2]


def test_haar_is_inverted_and_orthonormal():
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64, requires_grad=True)
    bands = haar(x)
    assert torch.allclose(inverse_haar(bands), x, rtol=0, atol=1e-14)
    assert torch.allclose(haar(inverse_haar(bands)), bands, rtol=0, atol=1e-14)
    assert bands.square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-12)
    # The channels of one band stand together.
    assert torch.equal(bands[:, 1::3], haar(x[:, 1:2]))


def test_haar_gradients():
    x = torch.randn(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(haar, x)
    assert gradcheck(inverse_haar, torch.randn(1, 8, 2, 3, dtype=torch.float64, requires_grad=True))


def tiny_editor(channels=8, se=None, **changes):
    return MODELS.build(
        dict(
            type='SKFEditor',
            generator=dict(type='HWMNet', channels=channels, se=se),
            recon_loss=dict(type='mmagic.CharbonnierLoss', eps=1e-6),
            **changes))


def tiny_skf(channels=8):
    bank = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)
    se = dict(type='SEModule', sources=(2, 1, 0), ffn='dual', expansion=1)
    return tiny_editor(channels, se, skb=bank, sch_loss=dict(type='SCHLoss'))


def test_recon_loss_is_the_authors():
    output, gt = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    expected = ((output - gt).square() + 1e-6).sqrt().mean()
    assert torch.allclose(tiny_editor().pixel_loss(output, gt), expected, atol=1e-7)


def test_any_size():
    model = tiny_editor().eval()
    with torch.no_grad():
        image = torch.rand(1, 3, 32, 48)
        assert torch.equal(model(image), model.generator(image))
        odd = torch.rand(1, 3, 37, 50)
        whole = model.generator(torch.nn.functional.pad(odd, (0, 14, 0, 11), 'reflect'))
        assert torch.equal(model(odd), whole[..., :37, :50])


def test_images_of_a_batch_do_not_mix():
    net = tiny_editor().generator.eval()
    images = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        singles = torch.cat([net(image[None]) for image in images])
        assert torch.allclose(net(images), singles, atol=1e-6)


@pytest.mark.parametrize('build', [tiny_editor, tiny_skf])
@pytest.mark.filterwarnings('ignore:.*semantics are random')
def test_gradients_reach_every_parameter(build):
    torch.manual_seed(0)
    model = build(channels=32).train()  # of the one hidden channel that 8 would leave, a ReLU may cut off everything
    images, gt = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    losses = model(images, DataSample(gt_img=gt), mode='loss')
    sum(losses.values()).backward()
    assert [name for name, weight in model.generator.named_parameters()
            if weight.grad is None or not weight.grad.abs().sum() > 0] == []


@pytest.mark.filterwarnings('ignore:.*semantics are random')
def test_semantics_enter_behind_every_level_of_the_decoder():
    """Each SE module acts on what both the next level and the fusion see, and reads the source of its own scale."""
    model = tiny_skf().eval()
    net, image = model.generator, torch.rand(1, 3, 64, 96)
    levels = {}
    for i, (level, se) in enumerate(zip(net.decoder, net.se)):
        level.register_forward_hook(lambda *args, i=i: levels.update({i: args[-1]}))
        se.register_forward_pre_hook(lambda module, args, i=i: levels.update({f'se{i}': args}))
    with torch.no_grad():
        prior = model.skb(image)
        guided, plain = net(image, prior), net(image)
        assert not torch.allclose(guided, plain, atol=1e-4)
        net(image, prior)
        for i, scale in enumerate((4, 2, 1)):
            feature, semantic = levels[f'se{i}']
            assert feature is levels[i] and feature.shape == (1, 8 * scale, 64 // scale, 96 // scale)
            assert semantic is prior.features[2 - i]
        # What stands in for a SE module reaches both of its readers.
        net.se[0].forward = lambda feature, semantic: torch.zeros_like(feature)
        up, fusion = [], []
        net.ups[1].register_forward_pre_hook(lambda module, args: up.append(args[0]))
        net.to_fusion[1].register_forward_pre_hook(lambda module, args: fusion.append(args[0]))
        net(image, prior)
        assert not up[0].any() and not fusion[0].any()


@pytest.mark.parametrize('channels', [21, 6])
def test_width_is_even_and_at_least_8(channels):
    with pytest.raises(ValueError, match=f'channels of HWMNet is {channels}, expected an even number of 8 or more'):
        HWMNet(channels=channels)


@pytest.mark.parametrize('depth', [0, -1])
def test_depth_is_at_least_1(depth):
    with pytest.raises(ValueError, match=f'depth of HWMNet is {depth}'):
        HWMNet(channels=8, depth=depth)


@pytest.mark.parametrize('depth', [2, 3])
def test_other_depths_start_from_the_image(depth):
    """Whatever the depth, the smallest image that it takes passes, and what the network adds to it comes from ``to_rgb``."""
    net = HWMNet(channels=8, depth=depth).eval()
    image = torch.rand(1, 3, 2**depth, 2**(depth + 1))
    assert net.size_divisor == 2**depth
    with torch.no_grad():
        assert not torch.allclose(net(image), image, atol=1e-3)
        for weight in net.to_rgb.parameters():
            weight.zero_()
        assert torch.equal(net(image), image)

import pytest
import torch
import torch.nn.functional as F
from golden import Golden

from mmskf.models import SNRNet
from mmskf.models.editors.snr.snr_net import SNRGuidedAttention, box_blur, snr_map
from mmskf.registry import MODELS


@pytest.fixture(scope='module')
def golden():
    return Golden('snr')


@pytest.mark.parametrize('case', ['a_64x96', 'b_72x104'])
def test_golden_map(golden, case):
    inputs = golden.inputs(case)
    assert torch.allclose(box_blur(inputs['x']), inputs['nf'], atol=1e-8)
    golden.check(case, 'mask_from_x_nf', snr_map(inputs['x'], inputs['nf']))
    golden.check(case, 'mask_from_x_nf', snr_map(inputs['x'], box_blur(inputs['x'])))


def test_map_of_known_images():
    """A flat image is all signal; on it the ratio is the brightness. Noise lowers it to light / (noise + 1e-4)."""
    flat = torch.tensor([0.2, 0.4]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert torch.allclose(snr_map(flat, flat), torch.tensor([0.5, 1.]).reshape(1, 1, 1, 2), atol=1e-6)
    noisy = torch.tensor([0.4, 0.4 + 9e-4]).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    ratios = snr_map(noisy, torch.full_like(noisy, 0.4))
    assert torch.allclose(ratios, torch.tensor([1., 0.1]).reshape(1, 1, 1, 2), atol=1e-3)


def test_blur_mirrors_without_repeating_the_border():
    ramp = torch.arange(8.).reshape(1, 1, 1, 8).expand(1, 3, 8, 8) / 8
    assert torch.allclose(box_blur(ramp)[0, 0, 4], torch.tensor([6, 7, 10, 15, 20, 25, 28, 29]) / 40)


def plain_attention(attention, tokens, reliable):
    """Formula of the authors: the scores of other keys are replaced by -1e9."""
    normed = attention.norm(tokens)
    query, key, value = (layer(normed).unflatten(-1, (8, 64)).transpose(1, 2)
                         for layer in (attention.query, attention.key, attention.value))
    scores = (query @ key.mT / 8).masked_fill(~reliable[:, None, None], -1e9)
    return attention.project_out((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def test_attention():
    """An image with some, with all and with no reliable tokens, in one batch; where there are none the weights are equal."""
    attention = SNRGuidedAttention(32).double()
    tokens = torch.randn(3, 12, 32, dtype=torch.float64)
    reliable = torch.tensor([[True, False, True] * 4, [True] * 12, [False] * 12])
    inputs = [tokens.clone().requires_grad_() for _ in range(2)]
    outputs = [attention(inputs[0], reliable), plain_attention(attention, inputs[1], reliable)]
    assert torch.allclose(*outputs)
    gradients = [torch.autograd.grad(output.pow(2).sum(), tokens)[0] for output, tokens in zip(outputs, inputs)]
    assert torch.allclose(*gradients)
    mean = attention.project_out(attention.value(attention.norm(tokens[2])).mean(dim=0))
    assert torch.allclose(outputs[0][2], mean.expand(12, -1))


def kept_for_backward(attention, length):
    """Numbers that one forward pass keeps for its backward pass."""
    sizes = []
    tokens, reliable = torch.rand(1, length, 32), torch.rand(1, length) > 0.5
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()), lambda x: x):
        attention(tokens, reliable)
    return sum(sizes)


def test_memory_of_attention_grows_linearly():
    """The scores of 2,000 tokens in 8 heads would be 32 million numbers."""
    attention = SNRGuidedAttention(32)
    assert kept_for_backward(attention, 2000) < 2.1 * kept_for_backward(attention, 1000)


@pytest.fixture(scope='module')
def small():
    return SNRNet(channels=8, layers=2).eval()


def test_a_batch_is_its_images_one_by_one(small):
    images = torch.rand(2, 3, 32, 48)
    images[1] *= 0.1
    with torch.no_grad():
        assert torch.allclose(small(images), torch.cat([small(image[None]) for image in images]), atol=1e-6)


def test_columns_without_the_long_range_part(small):
    """Of 40 columns, 10 at a quarter, the released behaviour leaves out the last two."""
    feature, snr = torch.rand(1, 8, 8, 10), torch.rand(1, 1, 8, 10)
    with torch.no_grad():
        output = small.long_range(feature, snr)
        assert torch.equal(output[..., :8], small.long_range(feature[..., :8], snr[..., :8]))
    assert output[..., 8:].eq(0).all() and output[..., :8].ne(0).all()


def editor(size_divisor):
    return MODELS.build(
        dict(
            type='SKFEditor',
            generator=dict(type='SNRNet', channels=8, layers=2, size_divisor=size_divisor),
            recon_loss=dict(type='mmagic.CharbonnierLoss', reduction='sum', eps=1e-6))).eval()


def test_padding():
    """Padded to 16 or not: one and the same where 16 divides the image, and no dead columns where it does not."""
    padded, released = editor(16), editor(4)
    released.load_state_dict(padded.state_dict())
    image = torch.rand(1, 3, 32, 40)
    with torch.no_grad():
        assert torch.equal(padded(image[..., :32]), released(image[..., :32]))
        assert torch.equal(released(image), released.generator(image))
        mirrored = F.pad(image, (0, 8, 0, 0), mode='reflect')
        assert torch.equal(padded(image), padded.generator(mirrored)[..., :40])


def test_the_released_padding_takes_images_smaller_than_a_patch():
    """There is no whole patch, and so no long-range part."""
    released, seen = editor(4), []
    released.generator.long_range.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        for size in ((5, 40), (40, 5), (1, 1)):
            assert released(torch.rand(1, 3, *size)).shape == (1, 3, *size)
    assert len(seen) == 3 and not any(output.any() for output in seen)


@pytest.mark.parametrize('size_divisor', [6, 0, -16])
def test_size_divisor_that_cannot_be(size_divisor):
    with pytest.raises(ValueError, match=f'size_divisor of SNRNet is {size_divisor}.* set it to 16'):
        SNRNet(channels=8, layers=1, size_divisor=size_divisor)

import pytest
import torch
from golden import Golden

from mmskf.models.losses import soft_histogram

ONE_CLASS = dict(num_classes=1, bins='official')


def one_class(values, dtype=torch.float64, **options):
    """Histogram (256, ) of some values that all belong to class 0."""
    x = torch.as_tensor(values, dtype=dtype).view(1, 1, 1, -1)
    return soft_histogram(x, torch.zeros(1, 1, x.size(3), dtype=torch.long), **{**ONE_CLASS, **options})[0, 0, 0]


def naive_histogram(x, labels, num_classes, bins, alpha=400.):
    """Equations 7 to 9 word by word, in the type of x."""
    i = torch.arange(257, dtype=x.dtype)
    edges = (i - 0.5) / 255 if bins == 'paper' else i / 256
    sums = torch.sigmoid(alpha * (x[..., None] - edges))
    pixels = sums[..., :-1] - sums[..., 1:]
    regions = torch.stack([labels == label for label in range(num_classes)], 1).to(x.dtype)
    return torch.einsum('nkhw,nchwi->nkci', regions, pixels)


def random_case(low, high, dtype=torch.float32, size=(2, 3, 20, 24), num_classes=5):
    generator = torch.Generator().manual_seed(0)
    x = low + (high - low) * torch.rand(size, generator=generator, dtype=dtype)
    labels = torch.randint(-1, num_classes + 1, (size[0], *size[2:]), generator=generator)
    labels[labels == 2] = 0  # class 2 is absent
    labels[0, 0, 0] = 3
    return x, labels


def test_golden():
    golden = Golden('sch_loss')
    values = golden.inputs('histogram')['values']
    golden.check('histogram', 'hist', torch.stack([one_class(row, torch.float32) for row in values]))


@pytest.mark.parametrize('value, first, counts', [
    (0.5, 126, [.131200, .326712, .326712, .131200]),
    (128 / 255, 128, [.3719]),
    (0., 0, [.326712, .131200]),
    (1., 254, [.131200, .326712]),
])
def test_single_pixel(value, first, counts):
    histogram = one_class([value])
    assert histogram[first:first + len(counts)].tolist() == pytest.approx(counts, abs=5e-5)


@pytest.mark.parametrize('value', [0., 1 / 255, 2 / 255, 0.3, 1., -0.01, 1.01, 3., -1e30, float('inf')])
def test_total_is_a_difference_of_two_sigmoids(value):
    total = torch.sigmoid(torch.tensor(400. * value)) - torch.sigmoid(torch.tensor(400. * (value - 1)))
    assert one_class([value], torch.float32).sum() == pytest.approx(float(total.nan_to_num()), abs=1e-6)


@pytest.mark.parametrize('bins', ['paper', 'official'])
@pytest.mark.parametrize('alpha', [30., 400., 3000.])
@pytest.mark.parametrize('dtype, error', [(torch.float32, 4e-7), (torch.float64, 3e-12)])
def test_equals_naive_formula(bins, alpha, dtype, error):
    x, labels = random_case(-0.1, 1.1, dtype)
    x.requires_grad_()
    histogram = soft_histogram(x, labels, 5, bins, alpha)
    x_naive = x.detach().double().requires_grad_()
    naive = naive_histogram(x_naive, labels, 5, bins, alpha)
    pixels_in_a_class = 80
    assert histogram.dtype == dtype and (histogram - naive).abs().max() < error * pixels_in_a_class
    weight = torch.randn(histogram.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    (histogram * weight).sum().backward()
    (naive * weight).sum().backward()
    assert (x.grad - x_naive.grad).abs().max() < 30 * error * x_naive.grad.abs().max()


@pytest.mark.parametrize('bins', ['paper', 'official'])
def test_gradcheck(bins):
    x, labels = random_case(-0.02, 1.02, torch.float64, size=(1, 2, 3, 4))
    assert torch.autograd.gradcheck(lambda x: soft_histogram(x, labels, 5, bins), x.requires_grad_(), fast_mode=True)


def test_many_equal_pixels_do_not_round():
    count = 40000
    expected = one_class(torch.tensor(0.3)) * count
    assert (one_class([0.3] * count, torch.float32) - expected).abs().max() < 3e-7 * count


def test_order_of_pixels_does_not_matter():
    x, labels = random_case(0, 1)
    order = torch.randperm(x[0, 0].numel())
    shuffled = soft_histogram(x.flatten(2)[..., order].view_as(x), labels.flatten(1)[:, order].view_as(labels), 5)
    assert torch.allclose(shuffled, soft_histogram(x, labels, 5), atol=1e-5)


def test_absent_and_ignored_classes():
    x, labels = random_case(0, 1)
    assert not soft_histogram(x, labels, 5)[:, 2].any()
    x.requires_grad_()
    histogram = soft_histogram(x, torch.full_like(labels, 255), 5)
    histogram.sum().backward()
    assert histogram.shape == (2, 5, 3, 256) and not histogram.any() and not x.grad.any()


def test_no_gradient_to_ignored_pixels():
    x, labels = random_case(0.2, 0.8)
    soft_histogram(x.requires_grad_(), labels, 5)[..., :100].sum().backward()
    ignored = (labels < 0) | (labels >= 5)
    assert not x.grad.transpose(0, 1)[:, ignored].any()
    assert x.grad.transpose(0, 1)[:, ~ignored].any()


def test_far_values_have_no_gradient():
    x = torch.tensor([float('inf'), float('-inf'), 1e30, -1e30, 2., -1.]).view(1, 1, 1, -1).requires_grad_()
    soft_histogram(x, torch.zeros(1, 1, 6, dtype=torch.long), 1)[..., :128].sum().backward()
    assert not x.grad.any()


def test_nan_is_not_hidden():
    assert one_class([0.3, float('nan')], torch.float32).isnan().any()


def test_half_precision_and_autocast():
    x, labels = random_case(0, 1)
    expected = soft_histogram(x.half().float(), labels, 5)
    assert torch.equal(soft_histogram(x.half(), labels, 5), expected)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(soft_histogram(x.half().float(), labels, 5), expected)


def test_bad_input():
    x, labels = random_case(0, 1)
    with pytest.raises(ValueError, match="bins .*'code'; choose one of .*'paper', 'official'"):
        soft_histogram(x, labels, 5, bins='code')
    with pytest.raises(ValueError, match='alpha .* -1'):
        soft_histogram(x, labels, 5, alpha=-1)
    with pytest.raises(ValueError, match=r'labels of shape \(2, 10, 24\)'):
        soft_histogram(x, labels[:, :10], 5)
    with pytest.raises(ValueError, match='expected integers'):
        soft_histogram(x, labels.float(), 5)

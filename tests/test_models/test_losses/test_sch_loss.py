import pytest
import torch
import torch.nn.functional as F
from golden import Golden
from test_soft_histogram import naive_histogram

from mmskf.models.losses import SCHLoss, inside_regions
from mmskf.registry import MODELS


@pytest.mark.parametrize('case', ['images', 'latent'])
@pytest.mark.parametrize('normalizer, name', [('pixels', 'llflow'), ('pixels_classes_channels', 'drbn')])
def test_golden(case, normalizer, name):
    golden = Golden('sch_loss')
    inputs = golden.inputs(case)
    labels = golden.full_probs(case, (32, 48)).argmax(1)
    img1, img2 = inputs['img1'].requires_grad_(), inputs['img2'].requires_grad_()
    loss = SCHLoss(59, bins='official', edge_width=0, normalizer=normalizer)(img1, img2, labels)
    loss.backward()
    golden.check(case, f'loss_{name}', loss)
    golden.check(case, f'grad1_{name}', img1.grad)
    if name == 'llflow':
        golden.check(case, f'grad2_{name}', img2.grad)


def random_case(dtype=torch.float32):
    """Images and a map of large regions, one of which is a single pixel."""
    generator = torch.Generator().manual_seed(0)
    pred, target = torch.rand(2, 2, 3, 24, 30, generator=generator, dtype=dtype)
    scores = F.interpolate(torch.randn(2, 4, 3, 3, generator=generator), size=(24, 30), mode='bilinear')
    labels = scores.argmax(1)
    labels[0, 12, 15] = 4
    return pred, target, labels


@pytest.mark.parametrize('bins', ['paper', 'official'])
def test_equals_naive_formula_in_float64(bins):
    pred, target, labels = random_case()
    pred.requires_grad_()
    loss = SCHLoss(6, bins=bins, edge_width=0, normalizer='sum', loss_weight=0.5)(pred, target, labels)
    loss.backward()
    naive_pred = pred.detach().double().requires_grad_()
    difference = naive_histogram(naive_pred, labels, 6, bins) - naive_histogram(target.double(), labels, 6, bins)
    naive = 0.5 * difference.abs().sum() / 2
    naive.backward()
    assert loss.item() == pytest.approx(naive.item(), rel=1e-6)
    assert (pred.grad - naive_pred.grad).abs().max() < 1e-5 * naive_pred.grad.abs().max()


def test_gradcheck_of_both_images():
    pred, target, labels = (x[:1, ..., 10:14, 13:17] for x in random_case(torch.float64))
    loss = SCHLoss(6, edge_width=0, normalizer='sum')
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, labels), (pred.requires_grad_(), target.requires_grad_()))


def test_normalizers():
    pred, target, labels = random_case()
    total = SCHLoss(6, normalizer='sum')(pred, target, labels)
    assert SCHLoss(6, normalizer='pixels')(pred, target, labels) == pytest.approx(total / (256 * 24 * 30))
    by_class = SCHLoss(6, normalizer='pixels_classes_channels')(pred, target, labels)
    assert by_class == pytest.approx(total / (256 * 24 * 30 * 6 * 3))


def test_equal_images_and_order_of_pixels():
    pred, target, labels = random_case()
    loss = SCHLoss(6, edge_width=0)
    pred.requires_grad_()
    loss(pred, pred.detach().clone(), labels).backward()
    assert loss(pred, pred.detach(), labels) == 0 and not pred.grad.any()
    flipped = loss(pred.flip(3), target.flip(3), labels.flip(2))
    assert flipped.item() == pytest.approx(loss(pred, target, labels).item(), rel=1e-5)


def test_upper_bound():
    """Disjoint colours: every pixel adds its whole mass twice, once for each image."""
    pred, target, labels = torch.full((1, 3, 8, 8), 0.25), torch.full((1, 3, 8, 8), 0.75), torch.zeros(1, 8, 8).long()
    assert SCHLoss(59)(pred, target, labels).item() == pytest.approx(6 / 256, rel=1e-6)


@pytest.mark.parametrize('normalizer', ['pixels', 'pixels_classes_channels', 'sum'])
def test_without_semantics_the_image_is_one_region(normalizer):
    pred, target, labels = random_case()
    loss = SCHLoss(semantic=False, normalizer=normalizer)
    expected = SCHLoss(1, normalizer=normalizer)(pred, target, torch.zeros_like(labels))
    assert loss(pred, target) == loss(pred, target, labels) == expected > 0


def test_without_semantics_colours_may_change_places():
    """What semantics are for: two regions that swap their colours have one global histogram."""
    left, right = torch.tensor([0.2, 0.3, 0.4]), torch.tensor([0.7, 0.8, 0.6])
    pred = torch.stack((left, right), dim=1)[None, :, None].repeat_interleave(8, 2).repeat_interleave(8, 3)
    labels = torch.tensor([0, 1]).repeat_interleave(8).expand(1, 8, 16)
    assert SCHLoss(semantic=False)(pred, pred.flip(3)).item() == pytest.approx(0, abs=1e-9)
    assert SCHLoss(2, edge_width=0)(pred, pred.flip(3), labels).item() == pytest.approx(6 / 256, rel=1e-6)


def test_dropped_pixels_do_not_count():
    pred, target, labels = random_case()
    dropped = ~inside_regions(labels, 2)
    assert dropped.any() and not dropped.all()
    other = torch.where(dropped.unsqueeze(1), torch.rand_like(pred), pred)
    loss = SCHLoss(6)
    assert loss(other, target, labels) == loss(pred, target, labels)


def test_without_any_region_the_loss_is_zero():
    pred, target, _ = random_case()
    loss = SCHLoss(6)(pred.requires_grad_(), target, torch.full((2, 24, 30), 255))
    loss.backward()
    assert loss == 0 and not pred.grad.any()


def test_half_precision_gives_float32():
    pred, target, labels = random_case()
    pred = pred.to(torch.bfloat16).requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        loss = SCHLoss(6)(pred, target, labels)
        loss.backward()
    assert loss.dtype == torch.float32 and pred.grad.dtype == torch.bfloat16
    assert loss == SCHLoss(6)(pred.float(), target, labels)


def test_bad_input():
    pred, target, labels = random_case()
    with pytest.raises(ValueError, match="bins of SCHLoss is 'code'; choose one of"):
        MODELS.build(dict(type='SCHLoss', num_classes=6, bins='code'))
    with pytest.raises(ValueError, match="normalizer of SCHLoss is 'mean'; choose one of"):
        SCHLoss(6, normalizer='mean')
    with pytest.raises(ValueError, match='edge_width of SCHLoss is -1'):
        SCHLoss(6, edge_width=-1)
    with pytest.raises(ValueError, match='SCHLoss needs num_classes'):
        MODELS.build(dict(type='SCHLoss'))
    with pytest.raises(ValueError, match='same size'):
        SCHLoss(6)(pred, target[..., :20], labels)
    with pytest.raises(ValueError, match='resize the labels'):
        SCHLoss(6)(pred, target, labels[:, :20])

"""What the protocol of a bank does for any network, with networks whose outputs are known in closed form."""
import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmskf.models import KnowledgeBank
from mmskf.structures import SemanticPrior

IMAGE = torch.rand(2, 3, 37, 53, generator=torch.Generator().manual_seed(0))


class Pooling(nn.Module):
    """Mean colors at several scales; sizes are rounded up."""

    def __init__(self, scales=(8, 2, 4)):
        super().__init__()
        self.scales = scales
        self.classes = nn.Conv2d(3, 5, 1)

    def forward(self, x):
        return [F.avg_pool2d(x, scale, ceil_mode=True) for scale in self.scales]


class Bank(KnowledgeBank):
    """The smallest adapter there is; it tells what it was shown."""

    def __init__(self, network=None, **options):
        self.seen = []
        super().__init__(network or Pooling(), 'skb.model', **dict(dict(mean_std=None), **options))
        self.loaded = True

    def segment(self, x):
        self.seen.append(x)
        maps = self.network(x)
        return maps, self.network.classes(maps[1])


class FeatureBank(Bank):

    def segment(self, x):
        return super().segment(x)[0], None


class Picky(Pooling):
    """Takes only what a rule allows."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, x):
        if not self.rule(*x.shape[-2:]):
            raise RuntimeError('shapes do not match')
        return super().forward(x)


def test_maps_are_sorted_and_what_they_are_is_found():
    bank = Bank()
    assert bank.strides == (2, 4, 8)
    assert bank.channels == {0: 3, 1: 3, 2: 3, 'logits': 5}
    assert bank.num_classes == 5 and bank.size_divisor == 1
    prior = bank(IMAGE)
    for feature, scale in zip(prior.features, (2, 4, 8), strict=True):
        assert torch.equal(feature, F.avg_pool2d(IMAGE, scale, ceil_mode=True))


def test_maps_of_one_stride_keep_their_order():
    bank = Bank(Pooling((4, 2, 4)))
    assert bank.strides == (2, 4, 4) and bank._order == [1, 0, 2]


def test_maps_are_found_in_any_nest():

    class Nested(FeatureBank):

        def segment(self, x):
            coarse, fine, middle = self.network(x)
            return dict(a=[(coarse, x.mean(dim=(2, 3))), None], b=fine, c=(middle, )), None

    assert [feature.shape[-1] for feature in Nested()(IMAGE).features] == [27, 14, 7]


def test_class_scores_get_the_size_of_the_image():
    bank = Bank()
    scores = bank.network.classes(F.avg_pool2d(IMAGE, 2, ceil_mode=True))
    assert torch.equal(bank(IMAGE).logits, F.interpolate(scores, (37, 53), mode='bilinear'))


def test_without_class_scores():
    bank = FeatureBank()
    assert bank.channels == {0: 3, 1: 3, 2: 3} and bank.num_classes == 0
    prior = bank(IMAGE)
    assert prior.logits is None and prior.detach().logits is None
    for ask in (lambda: prior.labels, lambda: prior.probs, lambda: prior.source('logits')):
        with pytest.raises(ValueError, match='features only and no class scores'):
            ask()


@pytest.mark.parametrize('options', [dict(autocast='bf16'), dict(size_divisor=16), dict(image_size=(32, 64))])
def test_every_option_works_without_class_scores(options):
    prior = FeatureBank(**options)(IMAGE)
    assert prior.logits is None and prior.features[0].dtype == torch.float32


@pytest.mark.parametrize('rule, divisor', [
    (lambda height, width: height % 8 == width % 8 == 0, 8),
    (lambda height, width: True, 1),
])
def test_sizes_that_the_network_takes_are_found(rule, divisor):
    bank = Bank(Picky(rule))
    assert bank.size_divisor == divisor
    prior = bank(IMAGE)
    assert [tuple(feature.shape[-2:]) for feature in prior.features] == [(19, 27), (10, 14), (5, 7)]
    assert prior.logits.shape == (2, 5, 37, 53)
    padded = F.pad(IMAGE, (0, -53 % divisor, 0, -37 % divisor), mode='replicate')
    assert torch.equal(bank.seen[-1], padded)


def test_a_network_that_drops_the_rest_of_an_image_gets_it_padded():

    class Dropping(Pooling):

        def forward(self, x):
            return [F.avg_pool2d(x, scale) for scale in self.scales]

    bank = Bank(Dropping())
    assert bank.size_divisor == 8
    assert [tuple(feature.shape[-2:]) for feature in bank(IMAGE).features] == [(19, 27), (10, 14), (5, 7)]


def test_a_network_of_one_size():
    network = Picky(lambda height, width: height == width == 128)
    with pytest.raises(ValueError, match=r'Picky of skb.model takes images of 128x128 pixels, but not of other sizes .shapes do '
                                         r'not match.*set skb.image_size=\(128, 128\)'):
        Bank(network)
    bank = Bank(network, image_size=(128, 128))
    assert bank.strides == (2, 4, 8)
    prior = bank(IMAGE)
    resized = F.interpolate(IMAGE, (128, 128), mode='bilinear', antialias=True)
    assert torch.equal(prior.features[1], F.avg_pool2d(resized, 4))
    scores = F.interpolate(network.classes(F.avg_pool2d(resized, 2)), (128, 128), mode='bilinear')
    assert torch.equal(prior.logits, F.interpolate(scores, (37, 53), mode='bilinear'))


def test_a_network_of_a_size_that_is_never_tried():
    network = Picky(lambda height, width: height == width == 100)
    with pytest.raises(ValueError, match='fails on images of 64x64, 128x128, 256x256, 512x512 pixels .shapes do not match'):
        Bank(network)
    assert Bank(network, image_size=(100, 100))(IMAGE).features[0].shape[-2:] == (50, 50)


def test_a_network_that_needs_large_images():
    bank = Bank(Picky(lambda height, width: min(height, width) >= 100))
    with pytest.raises(ValueError, match=r'does not take an image of 53x37 pixels .*it takes 128x128: give larger images .*'
                                         r'skb.image_size=\(128, 128\)'):
        bank(IMAGE)
    assert bank(torch.rand(1, 3, 101, 130)).logits.shape == (1, 5, 101, 130)


def test_other_failures_of_the_network_are_its_own():
    bank = Bank(Picky(lambda height, width: height != 37))
    with pytest.raises(RuntimeError, match='^shapes do not match$'):
        bank(IMAGE)


def test_mean_and_std_of_ones_own():
    bank = Bank(mean_std=dict(mean=(0.1, 0.2, 0.3), std=(1, 2, 4)))
    bank(IMAGE)
    expected = torch.stack([IMAGE[:, 0] - 0.1, (IMAGE[:, 1] - 0.2) / 2, (IMAGE[:, 2] - 0.3) / 4], dim=1)
    assert torch.allclose(bank.seen[-1], expected)


def test_mean_and_std_are_imagenets_unless_an_adapter_says_otherwise():
    bank = Bank(mean_std='model')
    gray = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    bank(gray + torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) + torch.zeros(1, 1, 16, 16))
    assert torch.allclose(bank.seen[-1], torch.ones(1, 3, 16, 16))


@pytest.mark.parametrize('options, message', [
    (dict(image_size=(64, 64), size_divisor=32), 'set one of them to None'),
    (dict(mean_std='imagenet'), "skb.mean_std='imagenet' is unknown, expected one of"),
    (dict(mean_std=dict(mean=(0, 0, 0))), 'skb.mean_std=.* is unknown'),
    (dict(num_features=4), r'Pooling of skb.model returns 3 feature maps \[\(3, 8, 8\), .* expected 4'),
])
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Bank(**options)


def test_no_map_at_all():

    class Tokens(FeatureBank):

        def segment(self, x):
            return [x.flatten(2)], None

    with pytest.raises(ValueError, match='returns 0 feature maps .* expected at least one'):
        Tokens()


def test_a_single_class_score():
    network = Pooling()
    network.classes = nn.Conv2d(3, 1, 1)
    with pytest.raises(ValueError, match='single class score per pixel.*set skb.model.num_classes=2'):
        Bank(network)


def test_the_protocol_must_be_fulfilled():
    with pytest.raises(TypeError, match='segment'):
        KnowledgeBank(Pooling(), 'skb.model')


def test_a_copy_of_the_owner_shares_the_network():
    owner = nn.ModuleDict(dict(skb=Bank()))
    assert copy.deepcopy(owner)['skb'].network is owner['skb'].network
    assert not list(owner.parameters()) and not owner.state_dict()


def test_prior_of_features_alone_can_be_pickled():
    prior = pickle.loads(pickle.dumps(SemanticPrior((torch.ones(1, 2, 3, 4), ))))
    assert prior.logits is None and prior.source(0).shape == (1, 2, 3, 4)

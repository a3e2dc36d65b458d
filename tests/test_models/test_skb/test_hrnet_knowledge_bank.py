"""HRNet without mmsegmentation: the network that mmsegmentation trains."""
import pytest
import torch

from mmskf.models import HRNetKnowledgeBank, SemanticKnowledgeBank

WEIGHTS = 'mmskf://models/skb/weights/hrnet_w18s_camvid_f16.pth'
W48 = dict(widths=(48, 96, 192, 384), modules=(1, 4, 3), blocks=4)


@pytest.fixture(scope='module')
def banks():
    config = 'mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py'
    return HRNetKnowledgeBank(dict(num_classes=11), WEIGHTS).double(), SemanticKnowledgeBank(
        config, dict(decode_head=dict(num_classes=11)), WEIGHTS).double()


@pytest.mark.parametrize('size', [(64, 96), (37, 53)])
def test_same_prior_as_mmsegmentation_s(banks, size):
    """Also where halvings round up, and with gradients to the image."""
    assert banks[0].channels == banks[1].channels and banks[0].strides == banks[1].strides
    torch.manual_seed(0)
    image = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = (bank(image) for bank in banks)
    for one, other in zip((*ours.features, ours.logits), (*theirs.features, theirs.logits)):
        assert torch.allclose(one, other, atol=1e-5)  # mmsegmentation's mean and std are rounded to float32
    gradients = [torch.autograd.grad(prior.logits.square().mean(), image)[0] for prior in (ours, theirs)]
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-6 * gradients[1].abs().max().item())


def test_without_class_scores_the_head_is_not_computed(banks):
    image = torch.rand(1, 3, 40, 56, dtype=torch.float64)
    prior = banks[0](image, logits=False)
    assert prior.logits is None
    assert all(torch.equal(one, other) for one, other in zip(prior.features, banks[0](image).features))


@pytest.mark.parametrize('options', [dict(fuse_conv_bn=True), dict(bn='batch', mean_std=None), dict(channels_last=False)])
def test_options_change_what_they_change_in_mmsegmentation_s(options):
    config = 'mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py'
    pair = (HRNetKnowledgeBank(dict(num_classes=11), WEIGHTS, **options).double(),
            SemanticKnowledgeBank(config, dict(decode_head=dict(num_classes=11)), WEIGHTS, **options).double())
    image = torch.rand(2, 3, 64, 96, dtype=torch.float64)
    ours, theirs = (bank(image) for bank in pair)
    for one, other in zip((*ours.features, ours.logits), (*theirs.features, theirs.logits)):
        assert torch.allclose(one, other, atol=1e-5)


def test_large_hrnet_has_mmsegmentation_s_keys():
    with torch.device('meta'):
        theirs = SemanticKnowledgeBank('mmseg::hrnet/fcn_hr48_4xb4-80k_pascal-context-59-480x480.py').network.state_dict()
    ours = HRNetKnowledgeBank._build(59, **W48).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_weights_of_another_number_of_classes():
    bank = HRNetKnowledgeBank(dict(num_classes=5), WEIGHTS)
    with pytest.raises(RuntimeError, match='know 11 classes, the segmentor of skb.model has 5: set skb.model.num_classes=11'):
        bank.load()

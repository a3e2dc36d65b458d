"""The segmentation network of the paper, in the HRNet authors' form, against the golden outputs of their code."""
import pytest
import torch
from golden import Golden
from mmengine import Config
from tiny_segmentor import BACKBONE, HEAD

from mmskf.converters import CONVERSIONS, check_strictly
from mmskf.registry import MODELS


@pytest.fixture(scope='module')
def golden():
    return Golden('hrnet_w48_pascal59')


@pytest.fixture(scope='module')
def skb(golden, root):
    """The bank of the official config with the golden weights, converted as a released file would be."""
    cfg = Config.fromfile(root / 'configs/skb/hrnet_w48_pascal_context_official.py').skb
    cfg.checkpoint = None
    skb = MODELS.build({**cfg, 'type': 'mmskf.SemanticKnowledgeBank'})
    released = {f'model.{key}': value for key, value in golden.weights().items()}
    released['loss.criterion.weight'] = torch.ones(59)
    converted = CONVERSIONS['hrnet_w48_pascal59'].rename(released)
    check_strictly(converted, skb.segmentor.state_dict(), None)
    skb.segmentor.load_state_dict(converted)
    skb.loaded = True
    return skb


def check_outputs(golden, case, prior):
    for i, feature in enumerate(prior.features):
        golden.check(case, f'feat{i}', feature)
    golden.check(case, 'logits', prior.logits)
    golden.check(case, 'softmax', prior.probs)


def test_authors_form_has_the_parameters_of_the_authors_network(skb):
    assert sum(parameter.numel() for parameter in skb.segmentor.parameters()) == 65_888_219
    assert skb.channels == {0: 48, 1: 96, 2: 192, 3: 384, 'logits': 59}
    assert skb.num_classes == 59


@pytest.mark.parametrize('case', ['eval_64x96', 'eval_72x104_log'])
def test_golden_outputs_with_running_statistics(golden, skb, case):
    prior = skb(golden.inputs(case)['x'])
    check_outputs(golden, case, prior)
    golden.check(case, 'logits_quarter', skb.segmentor.decode_head(prior.features))


@pytest.mark.parametrize('case', ['batchstat_64x96', 'batchstat_72x104_log'])
def test_golden_outputs_with_batch_statistics(golden, skb, case):
    before = {key: value.clone() for key, value in skb.segmentor.state_dict().items()}
    skb.segmentor.train()
    check_outputs(golden, case, skb(golden.inputs(case)['x']))
    golden.check(case, 'bn1_running_mean_after', skb.segmentor.backbone.bn1.running_mean)
    golden.check(case, 'last_layer_bn_running_var_after', skb.segmentor.decode_head.convs[0].bn.running_var)
    skb.segmentor.load_state_dict(before)
    skb.segmentor.eval()


@pytest.mark.parametrize('size', [(64, 96), (37, 53)])
def test_without_options_it_is_mmsegmentations_own(size):
    torch.manual_seed(0)
    theirs = MODELS.build(BACKBONE)
    ours = MODELS.build({**BACKBONE, 'type': 'mmskf.HRNet'})
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.eval(), ours.eval()
    image = torch.rand(1, 3, *size)
    for one, other in zip(ours(image), theirs(image)):
        assert torch.equal(one, other)


def test_resizing_once_differs_on_odd_sizes_only():
    once = MODELS.build({**BACKBONE, 'type': 'mmskf.HRNet', 'resize_once': True})
    twice = MODELS.build({**BACKBONE, 'type': 'mmskf.HRNet'})
    twice.load_state_dict(once.state_dict(), strict=True)
    once.eval(), twice.eval()
    even, odd = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 72, 104)
    assert torch.allclose(once(even)[0], twice(even)[0], atol=1e-6)
    assert not torch.allclose(once(odd)[0], twice(odd)[0], atol=1e-6)


@pytest.mark.parametrize('resize_once', [True, False])
def test_aligned_corners_reach_the_fuse_layers(resize_once):
    """Bilinear maps of a linear ramp with aligned corners are that ramp again, whatever the sizes."""
    net = MODELS.build({**BACKBONE, 'type': 'mmskf.HRNet', 'align_corners': True, 'resize_once': resize_once})
    module = net.stage2[0]
    module.branches = torch.nn.ModuleList([torch.nn.Identity(), torch.nn.Identity()])
    torch.nn.init.dirac_(module.fuse_layers[0][1][0].weight)
    module.eval()
    low = torch.linspace(0, 1, 5).expand(1, 8, 3, 5)
    fused = module([torch.zeros(1, 4, 6, 10), low])[0]
    expected = torch.linspace(0, 1, 10).expand(1, 4, 6, 10)
    assert torch.allclose(fused, expected, atol=1e-4)


def test_head_upsamples_by_a_factor_and_cuts():
    head = MODELS.build({**HEAD, 'type': 'mmskf.FCNHead', 'conv_bias': True, 'upsample_factor': 4, 'align_corners': True})
    plain = MODELS.build(HEAD)
    assert {*head.state_dict()} - {*plain.state_dict()} == {'convs.0.conv.bias'}
    scores = torch.rand(1, 5, 10, 14)
    full = head.predict_by_feat(scores, [dict(img_shape=(37, 53))])
    whole = torch.nn.functional.interpolate(scores, (40, 56), mode='bilinear', align_corners=True)
    assert torch.equal(full, whole[..., :37, :53])
    same = MODELS.build({**HEAD, 'type': 'mmskf.FCNHead'})
    assert torch.equal(same.predict_by_feat(scores, [dict(img_shape=(37, 53))]),
                       plain.predict_by_feat(scores, [dict(img_shape=(37, 53))]))

"""Segmentors of mmsegmentation that differ from the usual: one map, other orders and sizes, class tokens, other packages."""
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F

from mmskf.models import SemanticKnowledgeBank

VIT = dict(embed_dims=16, num_layers=4, num_heads=2, out_indices=(0, 1, 2, 3), mlp_ratio=1)
# name: config, changes that make it small, place in the backbone's output -> (channels, stride) of each feature, size_divisor
SEGMENTORS = {
    'UNet': ('unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024.py',
             dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4)),
             {4: (4, 1), 3: (8, 2), 2: (16, 4), 1: (32, 8), 0: (64, 16)}, 16),
    'STDC': ('stdc/stdc1_4xb12-80k_cityscapes-512x1024.py', {}, {0: (256, 8), 2: (128, 8), 3: (256, 8), 1: (128, 16)}, 1),
    'Fast-SCNN': ('fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py', {}, {0: (64, 8), 2: (128, 8), 1: (128, 32)}, 1),
    'BiSeNetV2': ('bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py', {},
                  {1: (16, 4), 0: (128, 8), 2: (32, 8), 3: (64, 16), 4: (128, 32)}, 1),
    'PIDNet': ('pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py', {}, {None: (128, 8)}, 8),
    'DDRNet': ('ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py', {}, {None: (128, 8)}, 8),
    'DPT': ('dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512.py',
            dict(backbone=VIT,
                 decode_head=dict(in_channels=[16] * 4, channels=8, embed_dims=16, post_process_channels=[4, 8, 8, 8])),
            dict.fromkeys(range(4), (16, 16)), 1),
    'SETR': ('setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512.py',
             dict(backbone=VIT, decode_head=dict(in_channels=16, channels=8, norm_cfg=dict(type='BN'))),
             dict.fromkeys(range(4), (16, 16)), 1),
}


def prepare(bank, image):
    """What mmsegmentation itself would feed the segmentor, padded to the sizes that it takes."""
    preprocessor = bank.segmentor.data_preprocessor
    x = (image * 255 - preprocessor.mean) / preprocessor.std
    return F.pad(x, (0, -x.shape[-1] % bank.size_divisor, 0, -x.shape[-2] % bank.size_divisor), mode='replicate')


@pytest.mark.filterwarnings('ignore:The semantic knowledge bank has no checkpoint')
@pytest.mark.parametrize('name', SEGMENTORS)
def test_is_found_out_and_yields_what_mmsegmentation_computes(name):
    config, changes, expected, divisor = SEGMENTORS[name]
    torch.manual_seed(0)
    bank = SemanticKnowledgeBank(f'mmseg::{config}', changes)
    channels, strides = zip(*expected.values())
    assert bank.channels == {**dict(enumerate(channels)), 'logits': bank.segmentor.num_classes}
    assert bank.strides == strides and bank.size_divisor == divisor
    image = torch.rand(2, 3, 37, 53)
    prior = bank(image)
    x = prepare(bank, image)
    with torch.no_grad():
        maps = bank.segmentor.backbone(x)
        logits = bank.segmentor.encode_decode(x, 2 * [dict(img_shape=x.shape[2:])])
    for feature, place, stride in zip(prior.features, expected, strides, strict=True):
        whole = maps if place is None else maps[place]
        whole = whole[0] if name == 'DPT' else whole  # beside it: the class token
        assert torch.equal(feature, whole[..., :-(-37 // stride), :-(-53 // stride)])
    assert torch.equal(prior.logits, logits[..., :37, :53])


@pytest.mark.filterwarnings('ignore:The semantic knowledge bank has no checkpoint')
def test_lraspp_needs_images_that_its_pooling_fits_in():
    config = 'mmseg::mobilenet_v3/mobilenet-v3-d8-s_lraspp_4xb4-320k_cityscapes-512x1024.py'
    bank = SemanticKnowledgeBank(config)
    assert bank.channels == {0: 16, 1: 16, 2: 576, 'logits': 19} and bank.strides == (2, 4, 8)
    with pytest.raises(ValueError, match='MobileNetV3 of .*lraspp.* does not take an image of 96x96 pixels.*larger crops'):
        bank(torch.rand(1, 3, 96, 96))
    image = torch.rand(1, 3, 400, 392)
    with torch.no_grad():
        expected = bank.segmentor.encode_decode(prepare(bank, image), [dict(img_shape=(400, 392))])
    assert torch.equal(bank(image).logits, expected)


def test_a_network_with_position_embeddings_of_one_size_says_so():
    config = 'mmseg::mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512.py'
    small = dict(backbone=dict(embed_dims=8, num_layers=4, num_heads=1, img_size=(64, 64), out_indices=(0, 1, 2, 3)),
                 neck=dict(embed_dim=8), decode_head=dict(in_channels=[8] * 4, channels=4, num_classes=3))
    with pytest.raises(ValueError, match=r'takes images of 64x64 pixels, but not of other sizes.*skb.image_size=\(64, 64\)'):
        SemanticKnowledgeBank(config, small)
    bank = SemanticKnowledgeBank(config, small, image_size=(64, 64))
    bank.loaded = True
    assert bank(torch.rand(1, 3, 37, 53)).logits.shape == (1, 3, 37, 53)


@pytest.mark.skipif(find_spec('mmdet') is not None, reason='mmdet is installed')
@pytest.mark.parametrize('config', ['mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py',
                                    'maskformer/maskformer_r50-d32_8xb2-160k_ade20k-512x512.py'])
def test_mask_classification_names_the_package_that_it_needs(config):
    with pytest.raises(ImportError, match='needs the package mmdet, which is not installed: pip install "mmdet'):
        SemanticKnowledgeBank(f'mmseg::{config}')


@pytest.mark.skipif(find_spec('mmpretrain') is not None, reason='mmpretrain is installed')
def test_backbones_of_mmpretrain_name_the_package_that_they_need():
    with pytest.raises(ImportError, match='needs the package mmpretrain'):
        SemanticKnowledgeBank('mmseg::poolformer/fpn_poolformer_s12_8xb4-40k_ade20k-512x512.py')


def test_mask2former():
    """Its class scores are sums of probabilities: the semantic map is their share."""
    pytest.importorskip('mmdet')
    bank = SemanticKnowledgeBank('mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py')
    bank.loaded = True
    assert bank.strides == (4, 8, 16, 32) and bank.num_classes == 150
    image = torch.rand(2, 3, 37, 53)
    prior = bank(image)
    with torch.no_grad():
        scores = bank.segmentor.encode_decode(prepare(bank, image), 2 * [dict(pad_shape=(37, 53), img_shape=(37, 53))])
    assert torch.allclose(prior.probs, scores / scores.sum(dim=1, keepdim=True), atol=1e-6)

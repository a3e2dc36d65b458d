"""Every knowledge bank of ``configs/skb`` builds and runs, without network and at a size that no stride divides."""
from pathlib import Path

import pytest
import torch
from mmengine import Config
from mmengine.hub import get_config

from mmskf.registry import MODELS

FOLDER = Path(__file__).resolve().parents[3] / 'configs' / 'skb'
HALVINGS = [(10, 14), (5, 7), (3, 4), (2, 2)]
EXPECTED = {
    'hrnet_w48_pascal_context': ((48, 96, 192, 384, 59), HALVINGS),
    'hrnet_w48_pascal_context_official': ((48, 96, 192, 384, 59), HALVINGS),
    'hrnet_w18s_ade20k': ((18, 36, 72, 144, 150), HALVINGS),
    'hrnet_w18s_camvid': ((18, 36, 72, 144, 11), HALVINGS),
    'deeplabv3plus_r50_ade20k': ((256, 512, 1024, 2048, 150), [(10, 14)] + [(5, 7)] * 3),
    'segformer_mit-b0_ade20k': ((32, 64, 160, 256, 150), HALVINGS),
    'upernet_swin-t_ade20k': ((96, 192, 384, 768, 150), HALVINGS),
}


def read(name):
    return Config.fromfile(FOLDER / f'{name}.py').skb


def test_every_bank_is_tested():
    assert {path.stem for path in FOLDER.glob('*.py') if not path.stem.startswith(('train_', 'distill_', 'test_'))} == {*EXPECTED}


@pytest.mark.filterwarnings('ignore:The semantic knowledge bank has no checkpoint')
@pytest.mark.parametrize('name', [name for name in EXPECTED if name != 'hrnet_w48_pascal_context_official'])
def test_builds_and_runs_at_an_odd_size(name):
    (*channels, classes), sizes = EXPECTED[name]
    skb = MODELS.build({**read(name), 'checkpoint': None})
    assert skb.channels == {**dict(enumerate(channels)), 'logits': classes}
    assert skb.size_divisor == 1
    prior = skb(torch.rand(1, 3, 37, 53))
    assert prior.logits.shape == (1, classes, 37, 53)
    assert [tuple(feature.shape) for feature in prior.features] == [(1, c, *size) for c, size in zip(channels, sizes)]
    if name == 'hrnet_w48_pascal_context':
        assert sum(parameter.numel() for parameter in skb.segmentor.parameters()) == 65_887_499


@pytest.mark.parametrize('name', [name for name in EXPECTED if 'https' in str(read(name).checkpoint)])
def test_weights_are_those_that_mmsegmentation_released_for_the_config(name):
    cfg = read(name)
    assert cfg.checkpoint == get_config(cfg.config, pretrained=True).model_path


def test_bank_of_camvid_is_the_network_that_was_trained():
    trained = Config.fromfile(FOLDER / 'train_hrnet_w18s_camvid.py').model
    bank = MODELS.build(dict(type='SemanticKnowledgeBank', model=trained))
    used = MODELS.build(read('hrnet_w18s_camvid'))
    assert bank.segmentor.state_dict().keys() == used.segmentor.state_dict().keys()
    used.segmentor.load_state_dict(bank.segmentor.state_dict())
    image = torch.rand(1, 3, 37, 53)
    bank.loaded = used.loaded = True
    assert torch.allclose(bank(image).logits, used(image).logits, atol=1e-4)

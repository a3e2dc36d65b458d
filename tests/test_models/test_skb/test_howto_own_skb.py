"""The how-to says what works: its example runs as it is written."""
import re
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine import Config
from tiny_segmentor import SEGMENTOR

from mmskf.apis import init_model
from mmskf.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/howto_own_skb.md').read_text(), re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with what a reader of the page has: a config, its weights and a photograph."""
    monkeypatch.chdir(tmp_path)
    Config(dict(model=SEGMENTOR)).dump('my_segmentor.py')
    torch.save({'state_dict': MODELS.build(SEGMENTOR).state_dict()}, 'my_segmentor.pth')
    mmcv.imwrite(np.random.default_rng(0).integers(0, 60, (37, 53, 3), dtype=np.uint8), 'photo.png')
    return tmp_path


def test_example_that_looks_at_a_photograph(here, capsys):
    exec(next(block for block in BLOCKS if 'imwrite' in block), {})
    assert "{0: 4, 1: 8, 2: 16, 3: 32, 'logits': 5} (4, 8, 16, 32)" in capsys.readouterr().out
    assert mmcv.imread('labels.png', 'grayscale').shape == (37, 53)


# The classes of each example: the first words of its block tell which it is.
CLASSES = {"config='my_segmentor.py'": 5, 'num_classes=7': 7, 'Torchvision': 21, 'SMP': 19, "config='segformer-b0'": 6}


@pytest.mark.parametrize('sign', CLASSES)
def test_examples_of_configs_build(here, sign):
    if sign == 'SMP':
        pytest.importorskip('segmentation_models_pytorch')
    block = next(block for block in BLOCKS if 'skb = dict(' in block and sign in block)
    if 'segformer-b0' in sign:
        from transformers import SegformerConfig
        SegformerConfig(num_labels=6, decoder_hidden_size=8).save_pretrained('segformer-b0')
    Path('own.py').write_text(block)
    assert MODELS.build(Config.fromfile('own.py').skb).num_classes == CLASSES[sign]


def test_every_example_of_a_config_is_tested():
    assert sum('skb = dict(' in block for block in BLOCKS) == len(CLASSES)


def test_example_of_features_alone(here):
    block = next(block for block in BLOCKS if 'dinov2' in block)
    for folder in ('_base_', 'baseline'):
        (here / folder).symlink_to(ROOT / 'configs' / folder)
    (here / 'skf').mkdir()
    (here / 'skf' / 'method.py').write_text(block)
    model = init_model('skf/method.py')
    assert model.has_se and not model.semantic_losses and model.skb.num_classes == 0
    assert model.skb.channels == dict.fromkeys(range(4), 384)


def test_example_of_an_adapter():
    from torch import nn

    class MyNetwork(nn.Module):

        def forward(self, x):
            return [nn.functional.avg_pool2d(x, 4, ceil_mode=True)], x[:, :2]

    space = dict(MyNetwork=MyNetwork)
    try:
        exec(next(block for block in BLOCKS if 'MyNetwork' in block), space)
        bank = MODELS.build(dict(type='MyKnowledgeBank', mean_std=None))
    finally:
        MODELS.module_dict.pop('MyKnowledgeBank', None)
    bank.loaded = True
    image = torch.rand(1, 3, 37, 53)
    assert bank.strides == (4, ) and torch.equal(bank(image).logits, image[:, :2])


def test_example_that_takes_another_bank(here):
    block = next(block for block in BLOCKS if '_base_' in block)
    (here / 'skf').mkdir()
    for folder in ('_base_', 'skb'):
        (here / folder).symlink_to(ROOT / 'configs' / folder)
    (here / 'skf' / 'method.py').write_text(block)
    model = init_model('skf/method.py')
    assert model.has_se and model.sch_loss and model.sa_loss
    assert model.skb.channels == {0: 32, 1: 64, 2: 160, 3: 256, 'logits': 150}

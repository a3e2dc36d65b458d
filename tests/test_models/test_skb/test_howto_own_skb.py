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
    assert "{0: 4, 1: 8, 2: 16, 3: 32, 'logits': 5}" in capsys.readouterr().out
    assert mmcv.imread('labels.png', 'grayscale').shape == (37, 53)


def test_examples_of_configs_build(here):
    for block in BLOCKS:
        if 'skb = dict(' in block:
            Path('own.py').write_text(block)
            bank = MODELS.build(Config.fromfile('own.py').skb)
            assert bank.num_classes == (7 if 'num_classes=7' in block else 5)


def test_example_that_takes_another_bank(here):
    block = next(block for block in BLOCKS if '_base_' in block)
    (here / 'skf').mkdir()
    for folder in ('_base_', 'skb'):
        (here / folder).symlink_to(ROOT / 'configs' / folder)
    (here / 'skf' / 'method.py').write_text(block)
    model = init_model('skf/method.py')
    assert model.has_se and model.sch_loss and model.sa_loss
    assert model.skb.channels == {0: 32, 1: 64, 2: 160, 3: 256, 'logits': 150}

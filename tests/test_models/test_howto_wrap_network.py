"""The how-to says what works: its example is made as it is written, and runs."""
import re
from pathlib import Path

import pytest
import torch

from mmskf.apis import init_model

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs/howto_wrap_network.md').read_text()
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


def block(text):
    """The one example that holds a text."""
    found, = (block for block in BLOCKS if text in block)
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A checkout of a reader who has written the network and the two configs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ('_base_', 'skb'):
        (tmp_path / 'configs' / folder).parent.mkdir(exist_ok=True)
        (tmp_path / 'configs' / folder).symlink_to(ROOT / 'configs' / folder)
    plain, guided = (text for text in BLOCKS if '_base_ =' in text)
    for path, text in (('mynet.py', block('class MyNet')), ('configs/baseline/mynet_lol.py', plain),
                       ('configs/skf/mynet_skf_lol.py', guided)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_example(here, capsys):
    exec(block('print(place'), {})
    assert capsys.readouterr().out.splitlines()[-2:] == ['up2 16 channels, reads 96', 'up1 16 channels, reads 48']
    model = init_model('configs/skf/mynet_skf_lol.py')
    assert model.sch_loss and model.sa_loss and model.generator.size_divisor == 4 and not model.generator.residual
    plain = init_model('configs/baseline/mynet_lol.py')
    assert not plain.generator.se_modules and plain.skb is None
    with torch.no_grad():
        assert plain(torch.rand(1, 3, 13, 18)).shape == (1, 3, 13, 18)


def test_weights_of_the_network_itself(here):
    plain, guided = init_model('configs/baseline/mynet_lol.py'), init_model('configs/skf/mynet_skf_lol.py')
    torch.save(plain.generator.net.state_dict(), 'mynet.pth')
    exec(block('generator.net.{name}'), {})
    weights = torch.load('mynet_lol.pth')['state_dict']
    assert not guided.load_state_dict(weights, strict=False).unexpected_keys
    assert all(torch.equal(guided.state_dict()[key], value) for key, value in plain.state_dict().items())


def test_what_is_ready_is_there():
    names = re.findall(r'`(\w+_lol)`', PAGE)
    assert len(names) == 6
    assert all((ROOT / 'configs' / ('skf' if '_skf_' in name else 'baseline') / f'{name}.py').is_file() for name in names)

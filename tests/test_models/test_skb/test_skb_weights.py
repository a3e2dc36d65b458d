"""The knowledge bank that comes with mmskf: its file is plain and small, and it knows streets, also in the dark."""
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from golden import shared
from mmengine import Config

import mmskf
from mmskf.registry import MODELS

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = Path(mmskf.__file__).parent / 'models/skb/weights/hrnet_w18s_camvid_f16.pth'


@pytest.fixture(scope='module')
def bank():
    cfg = Config.fromfile(ROOT / 'configs/skb/hrnet_w18s_camvid.py').skb
    return MODELS.build({**cfg, 'type': f'mmskf.{cfg.type}'})


def test_file_is_plain_and_small():
    checkpoint = torch.load(WEIGHTS, weights_only=True)
    assert WEIGHTS.stat().st_size < 9e6
    assert all(value.dtype in (torch.float16, torch.int64) for value in checkpoint['state_dict'].values())
    assert len(checkpoint['meta']['classes']) == 11


def test_runs_in_float32(bank):
    assert bank(torch.rand(1, 3, 36, 52)).logits.dtype == torch.float32


@pytest.mark.parametrize('exposure, accuracy', [(1.0, 0.8), (0.15, 0.7)])
def test_knows_streets(bank, exposure, accuracy):
    """Share of right pixels on every 30th picture of the test split, as it is and with 8-bit values scaled down."""
    folder = shared('data/camvid')
    right = total = 0
    for path in sorted((folder / 'test').glob('*.jpg'))[::30]:
        picture = np.round(mmcv.imread(path, channel_order='rgb') * exposure)
        labels = torch.from_numpy(mmcv.imread(folder / 'testannot' / f'{path.stem}.png', 'grayscale'))
        image = torch.from_numpy(picture).float().permute(2, 0, 1)[None] / 255
        known = labels < 11
        right += (bank(image).labels[0] == labels)[known].sum().item()
        total += known.sum().item()
    assert right / total > accuracy

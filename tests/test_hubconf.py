from pathlib import Path

import numpy as np
import torch

from mmskf.models import DRBNNet

ROOT = str(Path(__file__).resolve().parents[1])


def test_torch_hub():
    enhance = torch.hub.load(ROOT, 'enhancer', 'identity', source='local')
    photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(enhance(photo)['predictions'][0], photo)
    assert isinstance(torch.hub.load(ROOT, 'editor', 'drbn_lol', source='local').generator, DRBNNet)

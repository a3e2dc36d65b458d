"""Models by the loaders of others: torch.hub, mmengine.hub, and files of safetensors."""
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.hub import get_model

import mmskf
from mmskf.apis import ImageEnhancer, SKFInferencer, init_model
from mmskf.models import DRBNNet
from mmskf.weights import WeightsError

ROOT = str(Path(mmskf.__file__).resolve().parents[1])


@pytest.fixture(scope='module')
def shipped():
    return SKFInferencer().model


def same(model, other):
    weights, others = model.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(map(torch.equal, weights.values(), others.values()))


def test_torch_hub(shipped, tmp_path):
    enhance = torch.hub.load(ROOT, 'enhancer', 'identity', source='local')
    photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(enhance(photo)['predictions'][0], photo)
    assert isinstance(torch.hub.load(ROOT, 'editor', 'drbn_lol', source='local').generator, DRBNNet)
    path = tmp_path / 'shipped.safetensors'
    safetensors.torch.save_file(shipped.state_dict(), path)
    assert same(torch.hub.load(ROOT, 'editor', 'nafnet_s_skf_mixed', str(path), source='local'), shipped)


def test_mmengine_hub(shipped):
    """``pretrained=True`` takes the weights that the index names: here those in the package."""
    assert same(get_model('mmskf::skf/nafnet_s_skf_mixed.py', pretrained=True), shipped)


def test_safetensors_are_weights_everywhere(tmp_path):
    """They are read by the same rules as files of PyTorch: complete, and of this model."""
    model = init_model('zerodce_lol')
    weights, path = model.state_dict(), tmp_path / 'zerodce.safetensors'
    safetensors.torch.save_file(weights, path)
    assert same(init_model('zerodce_lol', str(path)), model)
    photo = np.full((8, 8, 3), 9, np.uint8)
    assert np.array_equal(ImageEnhancer('zerodce_lol', str(path))(photo), SKFInferencer(model)(photo)['predictions'][0])
    weights.popitem()
    safetensors.torch.save_file(weights, path)
    with pytest.raises(WeightsError, match=r'zerodce.safetensors holds the weights of another model: 1 keys are missing'):
        init_model('zerodce_lol', str(path))

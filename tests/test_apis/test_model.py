import pytest
import torch
from mmengine.config import Config

from mmskf.apis import has_weights, init_model, load_weights


def test_init_model():
    model = init_model('drbn_lol')
    assert not model.training and model.cfg.model.generator.type == 'DRBNNet'
    assert sum(weight.numel() for weight in model.generator.parameters()) == 557_668


def test_has_weights():
    assert has_weights(init_model('drbn_lol')) and not has_weights(init_model('clahe'))


def test_weights_survive_a_checkpoint(tmp_path):
    model = init_model('drbn_lol')
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'drbn.pth')
    torch.save({f'module.{key}': value for key, value in model.state_dict().items()}, tmp_path / 'wrapped.pth')
    for name in ('drbn', 'wrapped'):
        again = init_model('drbn_lol', tmp_path / f'{name}.pth')
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())


def test_checkpoint_of_another_model(tmp_path):
    torch.save(dict(state_dict={'backbone.conv.weight': torch.zeros(1)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth holds the weights of another model: .*keys are missing.*1 keys are '
                                         r'unexpected \(such as backbone.conv.weight\)'):
        init_model('drbn_lol', tmp_path / 'other.pth')


def test_checkpoint_of_another_width(tmp_path):
    model = init_model('drbn_lol')
    weights = model.state_dict()
    weights['generator.recurrences.0.up1.weight'] = torch.zeros(8, 8, 4, 4)
    torch.save(weights, tmp_path / 'wide.pth')
    before = model.generator.recurrences[0].up1.weight.clone()
    with pytest.raises(ValueError, match='1 keys are of another shape.*recurrences.0.up1.weight'):
        load_weights(model, tmp_path / 'wide.pth')
    assert torch.equal(model.generator.recurrences[0].up1.weight, before)


def test_no_checkpoint():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        init_model('drbn_lol', 'nowhere.pth')


def test_unknown_model():
    with pytest.raises(FileNotFoundError, match="no config or model called 'retinex'"):
        init_model('retinex')


def test_configs_and_devices_that_cannot_be():
    with pytest.raises(ValueError, match=r'hrnet_w18s_camvid.py has no field `model`, .* choose one of configs/baseline'):
        init_model('skb/hrnet_w18s_camvid')
    with pytest.raises(ValueError, match='The config has no field `model`'):
        init_model(Config(dict(x=1)))
    with pytest.raises(ValueError, match=r'The device cuda:99 is not available \(PyTorch finds .* graphics card'):
        init_model('identity', device='cuda:99')

import hashlib
import re
import shutil

import pytest
import torch
import yaml
from safetensors import safe_open

from mmskf import weights as weights_module
from mmskf.apis.model_card import index_entry
from mmskf.weights import WeightsError, read_state_dict


@pytest.fixture
def publish(tool):
    return tool('tools/model_converters/publish_model').main


@pytest.fixture
def checkpoint(tmp_path):
    weights = {'generator.conv.weight': torch.tensor([1 / 3, -7.]), 'generator.steps': torch.tensor(70000),
               'discriminator.weight': torch.ones(3)}
    torch.save(dict(state_dict=weights, optimizer=dict(state={}), meta=dict(cfg='data')), tmp_path / 'iter_5.pth')
    return tmp_path / 'iter_5.pth'


def test_published_weights(publish, checkpoint, tmp_path, monkeypatch, capsys):
    publish([str(checkpoint), str(tmp_path / 'small.pth')])
    path, = tmp_path.glob('small-*.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'small-{digest[:8]}.pth' and digest in capsys.readouterr().out
    assert torch.load(path).keys() == {'state_dict'}
    found = read_state_dict(path)
    assert found.keys() == {'generator.conv.weight', 'generator.steps'} and found['generator.steps'] == 70000
    assert found['generator.conv.weight'].tolist() == torch.tensor([1 / 3, -7.]).half().tolist()
    # In the package, the name is compared with the contents.
    monkeypatch.setattr(weights_module, 'PACKAGE', tmp_path)
    assert read_state_dict(f'mmskf://{path.name}').keys() == found.keys()
    shutil.copy(path, tmp_path / 'small-00000000.pth')
    with pytest.raises(WeightsError, match=re.escape(f'its SHA-256 begins with {digest[:8]}')):
        read_state_dict('mmskf://small-00000000.pth')
    assert read_state_dict(tmp_path / 'small-00000000.pth').keys() == found.keys()  # a user's file


def test_a_part_without_its_name(publish, checkpoint, tmp_path):
    publish([str(checkpoint), str(tmp_path / 'd.pth'), '--part', 'discriminator', '--bare', '--float32'])
    path, = tmp_path.glob('d-*.pth')
    weight = read_state_dict(path)['weight']
    assert weight.dtype == torch.float32 and weight.tolist() == [1, 1, 1]


def test_safetensors(publish, checkpoint, tmp_path):
    publish([str(checkpoint), str(tmp_path / 'small.safetensors')])
    path, = tmp_path.glob('small-*.safetensors')
    assert read_state_dict(path)['generator.conv.weight'].tolist() == torch.tensor([1 / 3, -7.]).half().tolist()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WeightsError, match=f'^{path} is no file of safetensors, or a damaged one'):
        read_state_dict(path)


def test_layers_that_share_their_weights(publish, tmp_path):
    shared = torch.arange(6.)
    torch.save({'generator.a': shared, 'generator.b': shared, 'generator.c': shared[::2]}, tmp_path / 'shared.pth')
    publish([str(tmp_path / 'shared.pth'), str(tmp_path / 'small.safetensors'), '--float32'])
    path, = tmp_path.glob('small-*.safetensors')
    assert {key: value.tolist() for key, value in read_state_dict(path).items()} == {
        'generator.a': shared.tolist(), 'generator.b': shared.tolist(), 'generator.c': [0, 2, 4]}
    with safe_open(path, 'pt') as file:
        assert file.metadata() == dict(format='pt')


def test_card(publish, checkpoint, tmp_path):
    """It says what the metafile has; of a config that is not in the index, what is not stated."""
    publish([str(checkpoint), str(tmp_path / 'small.safetensors'), '--card', 'nafnet_s_skf_mixed'])
    path, = tmp_path.glob('small-*.safetensors')
    card = path.with_suffix('.md').read_text()
    known, front = index_entry('nafnet_s_skf_mixed'), yaml.safe_load(card.split('---\n')[1])
    assert (front['library_name'], front['pipeline_tag'], front['license']) == ('mmskf', 'image-to-image', 'other')
    assert {'low-light-image-enhancement', 'mmskf'} <= set(front['tags'])
    found = [(result['dataset']['name'], {metric['type'].upper(): metric['value'] for metric in result['metrics']})
             for result in front['model-index'][0]['results']]
    assert found == [(result['Dataset'], result['Metrics']) for result in known['Results']] != []
    assert known['Metadata']['License'] in card and f'--model nafnet_s_skf_mixed --weights {path.name}' in card
    path.unlink()
    publish([str(checkpoint), str(tmp_path / 'own.pth'), '--card', 'demo/drbn_skf_demo'])
    card, = (path.read_text() for path in tmp_path.glob('own-*.md'))
    assert '| license | not stated |' in card and 'model-index' not in card and '## Scores' not in card
    with pytest.raises(FileNotFoundError, match="no config or model called 'nobody'"):
        publish([str(checkpoint), str(tmp_path / 'own.pth'), '--card', 'nobody'])


def test_what_cannot_be_published(publish, checkpoint, tmp_path):
    with pytest.raises(ValueError, match='--part net: the checkpoint contains discriminator, generator'):
        publish([str(checkpoint), str(tmp_path / 'small.pth'), '--part', 'net'])
    with pytest.raises(ValueError, match=r"DST ends with '.onnx': choose .pth or .safetensors"):
        publish([str(checkpoint), str(tmp_path / 'small.onnx')])
    torch.save({'generator.weight': torch.tensor([1e6])}, checkpoint)
    with pytest.raises(ValueError, match=r'generator.weight contains numbers of up to 1e\+06, too large for float16'):
        publish([str(checkpoint), str(tmp_path / 'small.pth')])
    assert not list(tmp_path.glob('small*'))

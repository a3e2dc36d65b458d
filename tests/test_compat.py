import pickle
from pathlib import Path

import mmcv.ops
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import checkpoint
from mmengine.runner.activation_checkpointing import turn_on_activation_checkpointing
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmskf import compat
from mmskf.registry import MODELS


class RunsCode:

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_compiled_ops_say_what_they_lack():
    with pytest.raises(RuntimeError, match='mmcv-lite is installed.*mim install'):
        mmcv.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)


def test_stand_in_for_the_compiled_ops_is_gone():
    from mmengine.utils import is_installed
    from mmengine.utils.dl_utils import mmcv_full_available
    assert is_installed('mmcv') and not mmcv_full_available()


def test_repairs_can_be_applied_twice():
    loader = CheckpointLoader._schemes['']
    compat.apply_all()
    assert CheckpointLoader._schemes[''] is loader


def test_old_torch_is_refused(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.5.1')
    with pytest.raises(ImportError, match='torch >= 2.6.*found torch 2.5.1'):
        compat.require_safe_torch()


def test_training_state_loads_without_running_code(tmp_path):
    buffer = HistoryBuffer()
    buffer.update(2.5)
    state = dict(buffer=buffer, number=np.float64(0.1), count=np.int64(7))
    torch.save(state, tmp_path / 'state.pth')
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'state.pth'), map_location='cpu')
    assert loaded['buffer'].current() == 2.5 and loaded['number'] == np.float64(0.1) and loaded['count'] == 7


@pytest.mark.parametrize('legacy', [False, True])
def test_malicious_checkpoint_is_refused(tmp_path, legacy):
    victim, path = tmp_path / 'victim', tmp_path / 'evil.pth'
    torch.save(dict(state_dict=RunsCode(victim)), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(pickle.UnpicklingError, match=r'Refused to load .*evil.pth.*TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1'):
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert not victim.exists()


def test_a_file_can_be_trusted(tmp_path, monkeypatch):
    victim, path = tmp_path / 'victim', tmp_path / 'trusted.pth'
    torch.save(dict(meta=RunsCode(victim)), path)
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    assert victim.exists()


def test_urls_are_loaded_safely(tmp_path, monkeypatch):
    victim, path = tmp_path / 'victim', tmp_path / 'evil.pth'
    torch.save(dict(state_dict=RunsCode(victim)), path)
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda url, dst, *args, **kwargs: path.rename(dst))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(pickle.UnpicklingError, match='Refused to load https://example.com/evil.pth'):
        CheckpointLoader.load_checkpoint('https://example.com/evil.pth', map_location='cpu')
    monkeypatch.setattr(checkpoint, 'get_torchvision_models', lambda: {'resnet18': 'https://example.com/evil.pth'})
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint('torchvision://resnet18', map_location='cpu')
    assert not victim.exists()


def test_checkpointed_activations_train_the_same(tmp_path):
    """Also the first module, whose input is an image and needs no gradient, and one that is called with keywords."""

    class First(nn.Conv2d):

        def forward(self, image, *, scale):
            return super().forward(image) * scale

    class Net(nn.Module):

        def __init__(self):
            super().__init__()
            self.first, self.second = First(3, 4, 3), nn.Conv2d(4, 3, 3)

        def forward(self, image):
            return self.second(self.first(image, scale=2.))

    net, image = Net(), torch.rand(1, 3, 8, 8)
    weights = list(net.parameters())
    expected = torch.autograd.grad(net(image).square().sum(), weights)
    turn_on_activation_checkpointing(net, ['first', 'second'])
    assert all(map(torch.equal, torch.autograd.grad(net(image).square().sum(), weights), expected))


def test_own_configs_are_found_from_anywhere(tmp_path):
    """By mmengine's name for configs of a package, in a base, and for a model that is built of it."""
    (tmp_path / 'config.py').write_text("_base_ = 'mmskf::baseline/drbn_lol.py'\ntrain_cfg = dict(max_iters=7)\n")
    own = Config.fromfile(tmp_path / 'config.py')
    assert own.train_cfg.max_iters == 7
    assert Path(compat.__file__).parent in Path(get_config('mmskf::baseline/drbn_lol.py').filename).parents
    models = get_model('mmskf::baseline/drbn_lol.py'), MODELS.build(own.model)
    assert [sum(weight.numel() for weight in model.parameters()) for model in models] == 2 * [557_668]

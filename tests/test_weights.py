import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from fuzz_weights import fuzz_bundles, fuzz_checkpoints
from mmengine.logging.history_buffer import HistoryBuffer

from mmskf.converters.convert import read_source
from mmskf.registry import MODELS
from mmskf.weights import RefusedPickleError, WeightsError, differences, read_state_dict, training_state


def zipped(path, **members):
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def truncated(path):
    torch.save(dict(weight=torch.zeros(500)), path)
    path.write_bytes(path.read_bytes()[:1000])


def arrays(path):
    with open(path, 'wb') as file:
        np.savez(file, a=np.zeros(1))


def scripted(path):
    torch.jit.script(torch.nn.Conv2d(1, 1, 1)).save(str(path))


@pytest.mark.parametrize('write, message', [
    (lambda path: path.mkdir(), 'is a folder'),
    (lambda path: path.write_bytes(b''), 'is empty'),
    (lambda path: path.write_text('\n<!DOCTYPE html><html>404</html>'), 'is a web page'),
    (lambda path: path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:1'), 'git lfs pull'),
    (lambda path: path.write_bytes(b'nonsense'), 'is no checkpoint of PyTorch'),
    (truncated, 'is incomplete or damaged'),
    (lambda path: zipped(path, readme='x'), r'a zip archive of 1 files, such as readme, without weights'),
    (arrays, r'arrays of numpy \(.npz\)'),
    (scripted, 'is a TorchScript program'),
    (lambda path: torch.save([1, 2], path), 'holds a list, not weights'),
    (lambda path: torch.save(torch.zeros(2), path), 'holds a Tensor, not weights'),
    (lambda path: torch.save({}, path), 'holds no weights: the dict in it is empty'),
    (lambda path: torch.save(dict(state_dict={}), path), 'holds no weights: the dict in it is empty'),
    (lambda path: torch.save(dict(epoch=3, model=dict(a=torch.zeros(1))), path),
     "'epoch' is a int, not a tensor. The weights may be what is under 'model'"),
    (lambda path: torch.save(dict(iter=3, optimizers=[], schedulers=[]), path), 'training state without its model'),
    (lambda path: torch.save({1: torch.zeros(1)}, path), '1 is a Tensor, not a tensor|holds more than weights: 1'),
    (lambda path: torch.save(dict(a=torch.tensor([1., torch.nan])), path), 'a in it has 1 of 2 numbers that are NaN or infinite'),
    (lambda path: torch.save(dict(a=torch.tensor(torch.inf)), path), 'a in it has 1 of 1 numbers'),
    (lambda path: torch.save({'a.weight': torch.zeros(2, dtype=torch.int8)}, path), r'a.weight in it has integers .torch.int8'),
    (lambda path: torch.save(dict(a=torch.zeros(2, dtype=torch.complex64)), path), 'a in it has complex numbers'),
    (lambda path: torch.save(dict(a=torch.zeros(2).to_sparse()), path), 'a in it has no plain tensor'),
])
def test_what_is_no_weights_is_named(tmp_path, write, message):
    path = tmp_path / 'file.pth'
    write(path)
    with pytest.raises(WeightsError, match=f'^{path} .*{message}') as error:
        read_state_dict(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('wrap', [
    lambda weights: weights, lambda weights: dict(state_dict=weights, epoch=3), lambda weights: dict(params=weights),
    lambda weights: {f'module.{key}': value for key, value in weights.items()},
    lambda weights: dict(params={f'module.{key}': value for key, value in weights.items()}, params_ema={})])
def test_where_weights_are(tmp_path, wrap):
    """Bare, or as the authors of the methods save them: by MMEngine, by BasicSR, by DataParallel."""
    torch.save(wrap({'a.weight': torch.ones(2), 'params': torch.zeros(1)}), tmp_path / 'file.pth')
    assert list(read_state_dict(tmp_path / 'file.pth')) == ['a.weight', 'params']


def test_no_file():
    with pytest.raises(FileNotFoundError, match='There is no file nowhere.pth'):
        read_state_dict('nowhere.pth')


def test_a_damaged_number_is_found(tmp_path):
    """PyTorch itself does not compare the checksums that it writes."""
    path = tmp_path / 'a.pth'
    torch.save(dict(weight=torch.arange(100.)), path)
    content = bytearray(path.read_bytes())
    content[content.find(np.float32(50).tobytes() + np.float32(51).tobytes())] ^= 1
    path.write_bytes(content)
    assert torch.load(path)['weight'][50] != 50
    with pytest.raises(WeightsError, match='a.pth is damaged: the checksum of a/data/0 in it is wrong'):
        read_state_dict(path)


def test_a_whole_model_is_refused_with_the_file_first_and_the_way_to_trust_it_last(tmp_path):
    torch.save(torch.nn.Conv2d(1, 1, 1), tmp_path / 'model.pth')
    with pytest.raises(RefusedPickleError, match='^Refused to load .*model.pth: it holds torch.nn.modules.conv.Conv2d, .*whole '
                                                 'model.*may be hostile.*state_dict.*TORCH_FORCE_NO_WEIGHTS_ONLY.*=1') as error:
        read_state_dict(tmp_path / 'model.pth')
    assert isinstance(error.value, pickle.UnpicklingError)


def test_weights_are_no_state_of_a_training(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.zeros(1))), tmp_path / 'a.pth')
    with pytest.raises(WeightsError, match='a.pth contains no training state .it has no meta and no message_hub'):
        training_state(tmp_path / 'a.pth')


PLAIN = '''
import sys, torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)
    def forward(self, inputs, mode):
        return dict(loss=self.conv(torch.stack(inputs)).mean())
class Data(torch.utils.data.Dataset):
    METAINFO = metainfo = dict(classes=('a', 'b'), palette=[[1, 2, 3]])
    __len__ = lambda self: 2
    __getitem__ = lambda self, index: dict(inputs=torch.rand(3, 4, 4))
Runner(Model(), sys.argv[1], dict(dataset=Data(), sampler=dict(type='InfiniteSampler'), batch_size=2, num_workers=0),
       train_cfg=dict(by_epoch=False, max_iters=2), optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
       param_scheduler=dict(type='MultiStepLR', milestones=[1], by_epoch=False),
       default_hooks=dict(logger=dict(type='LoggerHook', interval=1))).train()
assert 'mmskf' not in sys.modules
'''


def test_a_checkpoint_of_plain_mmengine_loads_as_it_is(tmp_path):
    """Its log history asks for ``getattr``, and gets the methods that it means."""
    (tmp_path / 'plain.py').write_text(PLAIN)
    result = subprocess.run([sys.executable, 'plain.py', 'work'], cwd=tmp_path, capture_output=True, text=True)
    path = next((tmp_path / 'work').glob('*.pth'), None)
    assert path, result.stderr[-3000:]
    with zipfile.ZipFile(path) as archive:
        assert b'getattr' in archive.read(next(name for name in archive.namelist() if name.endswith('/data.pkl')))
    assert read_state_dict(path).keys() == {'conv.weight', 'conv.bias'}
    history = torch.load(path)['message_hub']['log_scalars']['train/loss']
    assert history.mean() == history.statistics('mean') and len(history.data[0]) == 2
    assert training_state(path)['iter'] == 2


@pytest.mark.parametrize('owner, name', [
    (HistoryBuffer, '__init__'), (HistoryBuffer, '__globals__'), (torch.Tensor, 'mean'), (dict, 'get')])
def test_getattr_reaches_nothing_else(tmp_path, owner, name):

    class Reaches:

        def __reduce__(self):
            return getattr, (owner, name)

    torch.save(dict(a=Reaches()), tmp_path / 'evil.pth')
    with pytest.raises(RefusedPickleError, match='evil.pth: it holds (builtins.)?(getattr|dict)'):
        read_state_dict(tmp_path / 'evil.pth')


def test_a_checkpoint_cannot_change_the_methods_of_the_log(tmp_path):

    class Hostile(HistoryBuffer):

        def __reduce__(self):
            return HistoryBuffer, (), dict(max_length=5, statistics_methods=dict(mean=HistoryBuffer.min))

    torch.save(dict(a=Hostile()), tmp_path / 'a.pth')
    loaded = torch.load(tmp_path / 'a.pth')['a']
    assert loaded.max_length == 5 and HistoryBuffer._statistics_methods['mean'] is HistoryBuffer.mean


def test_types_are_compared():
    model = dict(a=torch.zeros(2), count=torch.tensor(0))
    assert not any(differences(dict(a=torch.zeros(2).half(), count=torch.tensor(3, dtype=torch.int32)), model).values())
    found = differences(dict(a=torch.zeros(2, dtype=torch.uint8), count=torch.tensor(0.)), model)
    assert found['of another type'] == ['a: torch.uint8, the model has torch.float32',
                                        'count: torch.float32, the model has torch.int64']


def test_the_bank_says_what_its_file_is(tmp_path):
    from tiny_segmentor import SEGMENTOR
    (tmp_path / 'bank.pth').write_text('<html>')
    bank = MODELS.build(dict(type='SemanticKnowledgeBank', model=SEGMENTOR, checkpoint=str(tmp_path / 'bank.pth')))
    with pytest.raises(RuntimeError, match='bank.pth is a web page.*Set skb.checkpoint'):
        bank(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize('content, message', [(b'', 'No data left|empty'), (b'PK\3\4', 'zip'), (b'\x93NUMPY', 'arrays')])
def test_broken_npz(tmp_path, content, message):
    (tmp_path / 'a.npz').write_bytes(content)
    with pytest.raises(WeightsError, match=f'^{tmp_path}/a.npz is not a file of arrays'):
        read_source(tmp_path / 'a.npz')


def test_nan_in_npz(tmp_path):
    np.savez(tmp_path / 'a.npz', conv=np.array([np.nan], np.float32))
    with pytest.raises(WeightsError, match='a.npz is unusable: conv in it has'):
        read_source(tmp_path / 'a.npz')


def test_damaged_checkpoints(tmp_path):
    """A part of what ``fuzz_weights.py`` does: see there."""
    answers = fuzz_checkpoints(tmp_path, 100)
    assert answers['WeightsError'] > 80 and sum(answers.values()) == 100


def test_damaged_bundles(tmp_path):
    answers = fuzz_bundles(tmp_path, 100)
    assert answers['WeightsError'] > 80 and sum(answers.values()) == 100

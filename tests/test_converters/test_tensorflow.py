"""The checkpoints in tests/data/tensorflow were written by TensorFlow 2.21 itself (``tf.compat.v1.train.Saver``)."""
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mmskf.converters import Conversion, load_parts
from mmskf.converters.tensorflow import FOOTER, find_bundle, read_bundle, read_varint, to_pytorch

DATA = Path(__file__).parents[1] / 'data' / 'tensorflow'


@pytest.fixture
def bundle(tmp_path):
    """A copy to spoil: the index."""
    for path in DATA.glob('model.ckpt.*'):
        shutil.copy(path, tmp_path)
    return tmp_path / 'model.ckpt.index'


def test_variables_of_a_training():
    """Numbers of three types, with what Adam keeps; a variable of text, which is no weight, is left out."""
    variables = read_bundle(DATA / 'model.ckpt.index')
    expected = {
        'Net/conv_1/weights': np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5) / 7,
        'Net/conv_1/biases': np.arange(5, dtype=np.float32) - 2,
        'Net/norm/moving_variance': np.arange(5, dtype=np.float64) / 3,
        'global_step': np.array(0),
        'beta1_power': np.array(0.9, np.float32),
        'beta2_power': np.array(0.999, np.float32),
        **{f'Net/conv_1/{name}/{slot}': np.zeros(shape, np.float32)
           for name, shape in (('weights', (2, 3, 4, 5)), ('biases', (5, ))) for slot in ('Adam', 'Adam_1')},
    }
    assert set(variables) == set(expected)
    for name, value in expected.items():
        assert variables[name].numpy().dtype == value.dtype and np.array_equal(variables[name].numpy(), value), name


@pytest.mark.parametrize('name', ['model.ckpt', 'model.ckpt.index', 'model.ckpt.data-00000-of-00001'])
def test_found_by_its_prefix_or_one_of_its_files(name):
    assert find_bundle(DATA / name) == DATA / 'model.ckpt.index'
    assert find_bundle(DATA / 'other.ckpt') is None
    assert find_bundle(__file__) is None


def test_as_part_of_a_method(tmp_path):
    """In a folder the files are named as the parts, and a checkpoint of TensorFlow is several files."""
    for path in DATA.glob('model.ckpt.*'):
        shutil.copy(path, tmp_path / path.name.replace('model.ckpt', 'second'))
    (tmp_path / 'second.meta').write_bytes(b'the graph')
    np.savez(tmp_path / 'first.npz', x=np.ones(3, np.float32))
    parts = load_parts(Conversion(model='', parts=dict(first='', second='')), str(tmp_path))
    assert parts['first']['x'].tolist() == [1, 1, 1]
    assert parts['second']['Net/conv_1/biases'].tolist() == [-2, -1, 0, 1, 2]


def test_objects_in_npz_are_refused(tmp_path):
    np.savez(tmp_path / 'x.npz', x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match='allow_pickle=False'):
        load_parts(Conversion(model=''), str(tmp_path / 'x.npz'))


def test_a_partitioned_variable_is_refused():
    with pytest.raises(ValueError, match='the variable Net/big is partitioned or .*: save it as .npz'):
        read_bundle(DATA / 'partitioned.ckpt.index')


def test_missing_numbers(bundle):
    shard = bundle.with_suffix('.data-00000-of-00001')
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r'data-00000-of-00001 has no \[\] numbers of the variable global_step at byte .*'
                                         'incomplete, or does not belong to model.ckpt.index'):
        read_bundle(bundle)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match='model.ckpt.data-00000-of-00001'):
        read_bundle(bundle)


def test_damaged_index(bundle):
    content = bundle.read_bytes()
    # The footer holds the place and size of two blocks; behind each block stands whether it is compressed.
    position, numbers = 0, []
    for _ in range(4):
        number, position = read_varint(content[-FOOTER:], position)
        numbers.append(number)
    behind = numbers[2] + numbers[3]
    bundle.write_bytes(content[:behind] + b'\1' + content[behind + 1:])
    with pytest.raises(ValueError, match='model.ckpt.index is damaged or compressed'):
        read_bundle(bundle)
    bundle.write_bytes(content[:-10])
    with pytest.raises(ValueError, match="model.ckpt.index is not the index of a TensorFlow checkpoint: LevelDB's magic number"):
        read_bundle(bundle)


def test_layout():
    """Against the definition of both operations, entry by entry."""
    kernel = torch.randn(2, 3, 4, 5)
    norm = {name: torch.rand(3) for name in ('norm.running_mean', 'norm.running_var')}
    converted = to_pytorch({'conv.weight': kernel, **norm})
    assert converted['conv.weight'][4, 3, 1, 2] == kernel[1, 2, 3, 4]
    assert converted['norm.running_mean'] is norm['norm.running_mean']

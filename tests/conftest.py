import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import mmskf  # noqa: E402, F401

DEVICES = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]


@pytest.fixture(params=DEVICES)
def device(request):
    """Every device that is there; on a GPU float32 is float32, so that golden figures hold."""
    if request.param == 'cuda':
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return request.param


@pytest.fixture(autouse=True)
def loggers():
    """Two runs within a second share a name, and by that a logger, which would write to what the first test listened to, and
    the scores of the first."""
    MMLogger._instance_dict.clear()
    MessageHub._instance_dict.clear()


@pytest.fixture(autouse=True)
def mmskf_scope():
    """Types without a prefix are mmskf's, as in every config."""
    init_default_scope('mmskf')


@pytest.fixture(scope='session')
def tool():
    """tool('tools/train') is that script as a module; its ``main`` takes the arguments as a list."""

    def load(name):
        path = HERE.parent / f'{name}.py'
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope='session')
def pairs(tmp_path_factory):
    """A folder of small pairs, {train,test}/{low,high}/*.png: smooth pictures, and the same at a fifth of the light."""
    root = tmp_path_factory.mktemp('pairs')
    rng = np.random.default_rng(0)
    for split, count in (('train', 4), ('test', 2)):
        for index in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
            high = np.asarray(coarse.resize((54, 42), Image.Resampling.BICUBIC))
            for side, picture in (('high', high), ('low', high // 5)):
                path = root / split / side / f'{index}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
    return root

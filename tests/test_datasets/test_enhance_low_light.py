import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from PIL import Image
from torchvision.transforms.functional import to_tensor

from mmskf.apis import ImageEnhancer, SKFInferencer
from mmskf.datasets import Darken, EnhanceLowLight, darken


@pytest.fixture(scope='module')
def photo():
    return np.random.default_rng(0).integers(0, 60, (24, 32, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def expected(photo):
    return SKFInferencer('gamma')(photo)['predictions'][0]


def test_an_image_comes_back_in_its_own_type(photo, expected):
    enhance = ImageEnhancer('gamma')
    assert np.array_equal(enhance(photo), expected)
    assert np.array_equal(np.asarray(enhance(Image.fromarray(photo))), expected)
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    assert torch.equal(enhance(tensor).permute(1, 2, 0), torch.from_numpy(expected))
    floats = enhance(to_tensor(photo))
    assert floats.dtype == torch.float32
    assert torch.equal((floats * 255).round().byte().permute(1, 2, 0), torch.from_numpy(expected))
    assert np.array_equal(ImageEnhancer('gamma', strength=0)(photo), photo)
    assert repr(enhance) == "ImageEnhancer(model='gamma', strength=1.0)"


def test_workers_build_their_own_model(photo, expected):
    enhance = ImageEnhancer('gamma')
    enhance(photo)
    copy = pickle.loads(pickle.dumps(enhance))
    assert copy._inferencer is None and np.array_equal(copy(photo), expected)


def test_what_is_no_image():
    enhance = ImageEnhancer('gamma')
    with pytest.raises(TypeError, match='was given a list'):
        enhance([1, 2, 3])
    with pytest.raises(ValueError, match=r'tensor \(1, 3, 8, 8\), expected \(3, H, W\)'):
        enhance(torch.zeros(1, 3, 8, 8))
    for value in (torch.nan, 40., 40):  # which would become black, and white
        with pytest.raises(ValueError, match=r'values in \[(nan|40), (nan|40)\], expected an image of 8 or 16 bits'):
            enhance(torch.full((3, 4, 4), value))


def test_in_a_pipeline_of_another_library(photo, expected, tmp_path):
    """Which reads BGR, and has a scope of its own."""
    Image.fromarray(photo).save(tmp_path / 'a.png')
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose([dict(type='LoadImageFromFile'), dict(type='mmskf.EnhanceLowLight', model='gamma')])
    image = pipeline(dict(img_path=str(tmp_path / 'a.png')))['img']
    assert np.array_equal(image[..., ::-1], expected)
    assert np.array_equal(EnhanceLowLight('gamma', channel_order='rgb')(dict(img=photo))['img'], expected)
    with pytest.raises(ValueError, match="channel_order='gbr'"):
        EnhanceLowLight(channel_order='gbr')


def test_the_examples_for_other_libraries(photo):
    page = (Path(__file__).resolve().parents[2] / 'docs' / 'howto_other_pipelines.md').read_text()
    code, = (block for block in re.findall(r'```python\n(.*?)```', page, re.DOTALL) if 'ImageEnhancer' in block)
    names = {}
    exec(code, names)
    expected = SKFInferencer('clahe')(photo)['predictions'][0]
    assert np.array_equal(names['for_albumentations'](image=photo)['image'], expected)
    assert torch.equal(names['for_torchvision'](Image.fromarray(photo)), to_tensor(expected))


def test_the_same_photo_is_always_darkened_alike(photo):
    step = Darken(0.1, full_well=2000)
    first, again, other = (step(dict(img=photo, img_path=f'/data/{name}'))['img'] for name in ('a.png', 'a.png', 'b.png'))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert first.mean() < 0.6 * photo.mean()
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 255  # BGR
    tinted = Darken(0.5, gains=(1, 0, 0), read_noise=0)(dict(img=red, img_path='a'))['img']
    assert tinted[..., 2].mean() == pytest.approx(darken(red[..., ::-1], np.random.default_rng(0), 0.5)[..., 0].mean(), rel=0.02)

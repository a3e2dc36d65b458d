import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.functional import to_tensor

from mmskf.apis import ImageEnhancer, SKFInferencer, init_model
from mmskf.datasets import Darken, EnhanceLowLight, darken
from mmskf.export.exporter import export_model


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
    array = enhance(photo / 255)
    assert array.dtype == np.float64 and np.array_equal((array * 255).round(), expected)
    assert enhance(to_tensor(photo).half()).dtype == torch.float16
    assert np.array_equal(ImageEnhancer('gamma', strength=0)(photo), photo)
    assert repr(enhance) == "ImageEnhancer(model='gamma', strength=1.0)"


def test_workers_build_their_own_model(photo, expected):
    enhance = ImageEnhancer('gamma')
    enhance(photo)
    copy = pickle.loads(pickle.dumps(enhance))
    assert copy._run is None and np.array_equal(copy(photo), expected)
    images = [dict(img=photo[..., ::-1]) for _ in range(3)]
    loader = DataLoader(images, num_workers=2, batch_size=None, collate_fn=EnhanceLowLight('gamma'))
    assert all(np.array_equal(results['img'][..., ::-1], expected) for results in loader)


def test_an_exported_model(photo, expected, tmp_path):
    path = tmp_path / 'gamma.onnx'
    export_model(init_model('gamma'), path)
    assert np.abs(ImageEnhancer(path)(photo).astype(int) - expected).max() <= 1
    half = SKFInferencer('gamma')(photo, strength=0.5)['predictions'][0]
    assert np.abs(ImageEnhancer(str(path), strength=0.5)(photo).astype(int) - half).max() <= 1
    with pytest.raises(ValueError, match=r'gamma.onnx is an exported model, which contains its weights: leave a.pth out'):
        ImageEnhancer(path, 'a.pth')


@pytest.mark.parametrize('options, error, message', [
    (dict(model='nobody'), FileNotFoundError, "no config or model called 'nobody'"),
    (dict(model='nobody.onnx'), FileNotFoundError, 'There is no file nobody.onnx'),
    (dict(model='drbn_lol', weights='nothing.pth'), FileNotFoundError, 'There is no file nothing.pth'),
    (dict(strength=2), ValueError, 'strength is 2'),
    (dict(device='npu'), ValueError, 'The device npu is not available'),
    pytest.param(dict(device='cuda'), ValueError, 'PyTorch finds no graphics card',
                 marks=pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU'))])
def test_wrong_calls_fail_before_there_are_workers(options, error, message):
    with pytest.raises(error, match=message):
        EnhanceLowLight(**options)


def test_random_weights_are_refused(photo):
    with pytest.raises(ValueError, match='zerodce_lol was given no weights'):
        ImageEnhancer('zerodce_lol')(photo)


def test_what_is_no_image():
    enhance = ImageEnhancer('gamma')
    for image, error, message in (
            (Image.new('I;16', (8, 8)), TypeError, 'PIL image of mode I;16, expected one of 8 bits'),
            (np.zeros((8, 8), np.uint8), ValueError, r'array \(8, 8\), expected \(H, W, 3\)'),
            (np.zeros((8, 8, 3), np.uint16), TypeError, 'array of uint16'),
            (torch.full((3, 8, 8), -2.1), ValueError, r'float32 values in \[-2.1, -2.1\]')):  # normalized
        with pytest.raises(error, match=message):
            enhance(image)
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


def test_float_images_of_a_pipeline(photo, expected, tmp_path):
    """``to_float32=True`` yields 0..255; what is no such image is named, not mirrored or rounded to black."""
    Image.fromarray(photo).save(tmp_path / 'a.png')
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose([dict(type='LoadImageFromFile', to_float32=True), dict(type='mmskf.EnhanceLowLight', model='gamma')])
    image = pipeline(dict(img_path=str(tmp_path / 'a.png')))['img']
    assert image.dtype == np.float32 and np.array_equal(image[..., ::-1], expected)
    step, dark = EnhanceLowLight('gamma'), Darken(0.1)
    for image, error, message in (
            (photo[..., 0], ValueError, r'given an image \(24, 32\), expected \(H, W, 3\): put it right after LoadImageFromFile'),
            (photo.astype(np.uint16), TypeError, 'given an image of uint16'),
            ((photo - 128.) / 50, ValueError, r'expected 0..255: put it before the image is normalized')):
        for transform in (step, dark):
            with pytest.raises(error, match=message):
                transform(dict(img=image, img_path='a.png'))


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

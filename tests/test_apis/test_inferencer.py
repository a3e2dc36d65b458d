import numpy as np
import pytest
import torch
from PIL import Image

from mmskf.apis import SKFInferencer, init_model


@pytest.fixture(scope='module')
def enhance():
    return SKFInferencer(init_model('drbn_lol'), device='cpu')


def expected(model, image):
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())[None] / 255
    with torch.no_grad():
        return (model(tensor)[0] * 255).clamp(0, 255).round().byte().numpy().transpose(1, 2, 0)


@pytest.mark.parametrize('size', [(40, 60), (37, 53), (3, 5)])
def test_arrays_of_any_size(enhance, size):
    image = np.random.default_rng(0).integers(0, 60, (*size, 3), dtype=np.uint8)
    result, = enhance(image)['predictions']
    assert result.dtype == np.uint8 and result.shape == image.shape
    assert np.array_equal(result, expected(enhance.model, image))


def test_files_folders_and_arrays(enhance, pairs, tmp_path):
    folder = pairs / 'test' / 'low'
    files = sorted(folder.iterdir())
    array = np.asarray(Image.open(files[0]))
    results = enhance([folder, str(files[0]), array], out_dir=tmp_path / 'out')['predictions']
    assert len(results) == 4
    assert np.array_equal(results[0], results[2]) and np.array_equal(results[0], results[3])
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'out' / '1.png')), results[1])


def test_gray_and_alpha_and_16_bit_arrays(enhance):
    image = np.random.default_rng(0).integers(0, 60, (8, 12, 3), dtype=np.uint8)
    plain, = enhance(image)['predictions']
    alpha = np.concatenate([image, np.full((8, 12, 1), 7, np.uint8)], axis=2)
    assert np.array_equal(enhance(alpha)['predictions'][0], plain)
    assert np.array_equal(enhance(image.astype(np.uint16) * 257)['predictions'][0], plain)
    gray, = enhance(image[..., 0])['predictions']
    assert np.array_equal(gray, enhance(np.repeat(image[..., :1], 3, axis=2))['predictions'][0])


@pytest.mark.parametrize('name', ['drbn_lol', 'llflow_s_lol'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_no_black_picture(pairs, tmp_path, name, value):
    enhance = SKFInferencer(init_model(name), device='cpu')
    with torch.no_grad():
        list(enhance.model.generator.parameters())[-1][0] = value
    with pytest.raises(FloatingPointError, match=f'for the image {pairs}/test/low/0.png is NaN or infinite'):
        enhance(pairs / 'test' / 'low' / '0.png', out_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_and_with_a_single_pixel(enhance):
    assert enhance(np.zeros((1, 1, 3), np.uint8))['predictions'][0].shape == (1, 1, 3)
    assert enhance([])['predictions'] == []


@pytest.mark.parametrize('array, message', [
    (np.zeros((4, 4, 3), np.float32), 'float32'),
    (np.zeros((3, 4, 4, 3), np.uint8), r'\(3, 4, 4, 3\)'),
    (np.zeros((4, 4, 2), np.uint8), r'\(4, 4, 2\)'),
])
def test_arrays_that_are_no_images(enhance, array, message):
    with pytest.raises(ValueError, match=message):
        enhance(array)


def test_weights_of_a_model_that_is_there(tmp_path):
    model, other = init_model('drbn_lol'), init_model('drbn_lol')
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    image = np.full((8, 8, 3), 30, np.uint8)
    result, = SKFInferencer(model, tmp_path / 'other.pth', 'cpu')(image)['predictions']
    assert np.array_equal(result, expected(other, image))
    assert model.data_preprocessor.data_keys == ['gt_img']  # its training goes on as before
    with pytest.raises(FileNotFoundError):
        SKFInferencer(model, tmp_path / 'nowhere.pth', 'cpu')


def test_no_weights():
    with pytest.warns(UserWarning, match='drbn_lol was given no weights'):
        SKFInferencer('drbn_lol', device='cpu')


def test_methods_without_weights_need_none(recwarn):
    image = np.random.default_rng(0).integers(0, 60, (16, 24, 3), dtype=np.uint8)
    enhance = SKFInferencer('gamma', device='cpu')
    assert not [warning for warning in recwarn if 'weights' in str(warning.message)]
    result, = enhance(image)['predictions']
    assert np.abs(result - 255 * (image / 255)**(1 / 2.2)).max() <= 0.501
    result, = SKFInferencer('lime', device='cpu')(image)['predictions']
    assert np.array_equal(result, expected(init_model('lime'), image)) and result.mean() > 1.5 * image.mean()


def test_same_names_from_several_folders(enhance, pairs, tmp_path):
    array = np.asarray(Image.open(pairs / 'test' / 'low' / '0.png'))
    paths = [tmp_path / name for name in ('x/a.png', 'y/a.png', 'y/a_2.png')]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)
    enhance(paths, out_dir=tmp_path / 'out')
    assert len(list((tmp_path / 'out').iterdir())) == 3


def test_missing_and_damaged_files(enhance, pairs, tmp_path):
    with pytest.raises(FileNotFoundError, match='no file or folder .*nowhere.png'):
        enhance(tmp_path / 'nowhere.png')
    with pytest.raises(FileNotFoundError, match='holds no image'):
        enhance(tmp_path)
    content = next((pairs / 'test' / 'low').iterdir()).read_bytes()
    (tmp_path / 'half.png').write_bytes(content[:len(content) // 2])
    with pytest.raises(OSError, match='half.png cannot be read'):
        enhance(tmp_path / 'half.png')

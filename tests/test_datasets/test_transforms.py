import cv2
import numpy as np
import pytest
import torch
from mmagic.datasets import transforms
from mmengine.dataset import DefaultSampler
from PIL import Image
from torch.utils.data import DataLoader

from mmskf.datasets import EnhancementDataset, LoadImage, PackInputs, RandomCrop, StretchRange


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def load(path):
    return LoadImage('img')(dict(img_path=str(path)))['img']


def write_cv2(path, image):
    """OpenCV takes BGR; it is the only one here that writes colour with 16 bits."""
    assert cv2.imwrite(str(path), image)
    return path


def test_rgb(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / 'a.png')
    results = LoadImage('img')(dict(img_path=str(tmp_path / 'a.png')))
    assert results['img'].dtype == np.uint8
    assert np.array_equal(results['img'], rgb)
    assert results['ori_img_shape'] == (12, 16, 3)
    assert results['img_channel_order'] == 'rgb'


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_16_bits_keep_the_high_byte(tmp_path, rgb, suffix):
    values = rgb.astype(np.uint16) * 256 + 255
    assert np.array_equal(load(write_cv2(tmp_path / f'colour{suffix}', values[..., ::-1])), rgb)
    gray = load(write_cv2(tmp_path / f'gray{suffix}', values[..., 0]))
    assert gray.dtype == np.uint8
    assert np.array_equal(gray, np.repeat(rgb[..., :1], 3, axis=2))


def test_8_bits_stored_as_16_come_back(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(load(write_cv2(tmp_path / 'ramp.png', ramp * 257))[..., 1], ramp)


def test_gray_is_replicated(tmp_path, rgb):
    Image.fromarray(rgb[..., 0]).save(tmp_path / 'gray.png')
    assert np.array_equal(load(tmp_path / 'gray.png'), np.repeat(rgb[..., :1], 3, axis=2))


@pytest.mark.parametrize('channels', [2, 4])
def test_alpha_is_dropped(tmp_path, rgb, channels):
    alpha = np.full((*rgb.shape[:2], 1), 3, np.uint8)
    Image.fromarray(np.concatenate([rgb[..., :channels - 1], alpha], axis=2)).save(tmp_path / 'alpha.png')
    expected = rgb if channels == 4 else np.repeat(rgb[..., :1], 3, axis=2)
    assert np.array_equal(load(tmp_path / 'alpha.png'), expected)


def test_palette(tmp_path):
    image = Image.new('RGB', (4, 2), (10, 200, 30)).quantize(4)
    image.save(tmp_path / 'palette.png')
    assert (load(tmp_path / 'palette.png') == (10, 200, 30)).all()


def test_orientation_of_the_camera(tmp_path, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6  # taken upright: to be turned clockwise
    Image.fromarray(rgb).save(tmp_path / 'a.png', exif=exif)
    assert np.array_equal(load(tmp_path / 'a.png'), np.rot90(rgb, -1))


@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.bmp'])
@pytest.mark.parametrize('share', [0.0, 0.05, 0.5, 0.99])
def test_truncated_file_is_named(tmp_path, suffix, share):
    path = tmp_path / f'broken{suffix}'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(OSError, match=f'{path} cannot be read as an image .* damaged or incomplete'):
        load(path)


def test_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / 'a.png').write_text('<html>404</html>')
    with pytest.raises(OSError, match='a.png cannot be read as an image'):
        load(tmp_path / 'a.png')


def test_no_program_is_started(tmp_path, rgb, monkeypatch):
    """Pillow would start Ghostscript for this one, whatever the file is called."""
    monkeypatch.setattr('subprocess.Popen.__init__', lambda *args, **kwargs: pytest.fail('a program was started'))
    Image.fromarray(rgb).save(tmp_path / 'x.eps')
    (tmp_path / 'x.eps').rename(tmp_path / 'x.jpg')
    with pytest.raises(OSError, match='x.jpg cannot be read as an image: it is a PostScript document'):
        load(tmp_path / 'x.jpg')


@pytest.mark.parametrize('name, options', [
    ('a.png', {}), ('a.jpg', {}), ('a.bmp', {}), ('a.tif', {}), ('a.ppm', {}), ('a.gif', {}), ('a.webp', dict(lossless=True)),
    ('a.mpo', dict(save_all=True))])
def test_formats(tmp_path, name, options):
    """MPO: a JPEG with more pictures behind it, as many phones and cameras write it, mostly under the name .jpg."""
    Image.new('RGB', (16, 8), (250, 0, 0)).save(tmp_path / name, **options)
    assert np.abs(load(tmp_path / name).astype(int) - (250, 0, 0)).max() <= 2


def test_limit_of_pixels(tmp_path):
    """Also of a header that lies: a small JPEG that says it is 64816 pixels high."""
    Image.new('RGB', (64, 64)).save(tmp_path / 'a.jpg')
    content = (tmp_path / 'a.jpg').read_bytes()
    header = bytes([8, 0, 64, 0, 64])  # bits, height, width of the frame
    assert content.count(header) == 1
    (tmp_path / 'a.jpg').write_bytes(content.replace(header, bytes([8, 64816 >> 8, 64816 & 255, 0, 64])))
    with pytest.raises(ValueError, match='a.jpg has 64x64816 = 4,148,224 pixels, more than the limit of 1,000,000.*pixel_limit'):
        LoadImage('img', pixel_limit=10**6)(dict(img_path=str(tmp_path / 'a.jpg')))
    Image.new('1', (20000, 10000)).save(tmp_path / 'large.png')
    with pytest.raises(ValueError, match='large.png has 20000x10000 = 200,000,000 pixels, more than the limit of 100,000,000'):
        LoadImage('img', pixel_limit=10**8)(dict(img_path=str(tmp_path / 'large.png')))
    Image.new('RGB', (1000, 1000)).save(tmp_path / 'fits.png')
    assert LoadImage('img', pixel_limit=10**6)(dict(img_path=str(tmp_path / 'fits.png')))['img'].shape == (1000, 1000, 3)


def test_float_images(tmp_path):
    """Floats are taken for 0..1; other ranges would be a guess."""
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / 'a.tiff')
    assert np.array_equal(load(tmp_path / 'a.tiff')[..., 2], np.rint(values * 255))
    Image.fromarray(values * 300).save(tmp_path / 'b.tiff')
    with pytest.raises(ValueError, match=r'b.tiff holds float32 values in \[0, 300\], expected an image of 8 or 16 bits'):
        load(tmp_path / 'b.tiff')


def test_pair_of_different_sizes(tmp_path):
    Image.new('RGB', (16, 12)).save(tmp_path / 'low.png')
    Image.new('RGB', (15, 12)).save(tmp_path / 'high.png')
    results = LoadImage('img')(dict(img_path=str(tmp_path / 'low.png'), gt_path=str(tmp_path / 'high.png')))
    with pytest.raises(ValueError, match='low.png is 16x12, .*high.png is 15x12'):
        LoadImage('gt', same_size_as='img')(results)


def test_image_smaller_than_the_crop(rgb):
    results = dict(img=rgb, gt=rgb, img_path='low/5.png', gt_path='high/5.png')
    with pytest.raises(ValueError, match='low/5.png is 16x12 .*smaller than the crop of 13x13.*crop_size'):
        RandomCrop(['img', 'gt'], 13)(results)


def test_crop_takes_the_same_square_of_all(rgb):
    np.random.seed(0)
    places = set()
    for _ in range(60):
        results = RandomCrop(['img', 'gt'], 10)(dict(img=rgb, gt=rgb.astype(np.int64) + 1000, img_path='a'))
        x, y, width, height = results['img_crop_bbox']
        places.add((x, y))
        assert (width, height) == (10, 10)
        assert np.array_equal(results['img'], rgb[y:y + 10, x:x + 10])
        assert np.array_equal(results['gt'], results['img'].astype(np.int64) + 1000)
    assert {x for x, _ in places} == set(range(7)) and {y for _, y in places} == set(range(3))


def test_error_in_a_worker_names_the_file(tmp_path):
    (tmp_path / 'a.png').write_bytes(b'')
    dataset = EnhancementDataset(str(tmp_path), dict(img=''), pipeline=[LoadImage('img'), PackInputs()])
    loader = DataLoader(dataset, num_workers=1, sampler=DefaultSampler(dataset), collate_fn=list)
    with pytest.raises(OSError, match='a.png cannot be read as an image'):
        next(iter(loader))


def test_stretched_range_in_the_pipeline_of_a_training(rgb):
    """One range for the whole image and all its channels, found before the crop; float32 all the way to the tensor."""
    dark = (rgb // 4 + 3).astype(np.uint8)
    dark[0, 0, 0], dark[-1, -1, 2] = 3, 66
    results = StretchRange(['img'])(dict(img=dark, gt=rgb, img_path='a'))
    expected = (dark.astype(np.float64) - 3) / 63 * 255
    assert results['img'].dtype == np.float32 and np.abs(results['img'] - expected).max() < 1e-4
    assert results['gt'] is rgb
    results = RandomCrop(['img', 'gt'], 10)(results)
    x, y, *_ = results['img_crop_bbox']
    packed = PackInputs()(results)['inputs']
    assert np.abs(packed.numpy() - expected[y:y + 10, x:x + 10].transpose(2, 0, 1)).max() < 1e-4


def test_stretching_twice_changes_nothing_and_black_stays_black(rgb):
    once = StretchRange(['img'])(dict(img=rgb // 3 + 9))['img']
    assert np.array_equal(StretchRange(['img'])(dict(img=once))['img'], once)
    assert not StretchRange(['img'])(dict(img=np.full((4, 4, 3), 7, np.uint8)))['img'].any()


@pytest.mark.parametrize('kind', [np.uint8, np.float32])
def test_packs_what_mmagic_packs(rgb, kind):
    """The same tensors and metadata, of the same types; mmagic's also keeps paths and sizes of what mmskf has not."""
    results = dict(
        img=rgb.astype(kind), gt=rgb[..., ::-1], mask=rgb[..., 0], key='a', img_path='low/a.png', gt_path='high/a.png',
        ori_img_shape=rgb.shape, ori_gt_shape=rgb.shape, img_channel_order='rgb', gt_channel_order='rgb', img_color_type='color',
        gt_color_type='color', sample_idx=3, scale=2)
    ours = PackInputs(meta_keys='key', data_keys=['mask'])(dict(results))
    theirs = transforms.PackInputs(keys=['img'], meta_keys=['key'], data_keys=['mask'])(dict(results))
    assert torch.equal(ours['inputs'], theirs['inputs']) and ours['inputs'].dtype == theirs['inputs'].dtype
    assert ours['inputs'].is_contiguous()
    ours, theirs = ours['data_samples'], theirs['data_samples']
    assert ours.metainfo == theirs.metainfo
    assert set(ours.keys()) == set(theirs.keys()) == {'gt_img', 'mask'}
    assert torch.equal(ours.gt_img, theirs.gt_img) and torch.equal(ours.mask, theirs.mask)


def test_crops_where_mmagic_crops(rgb):
    """The same random numbers: a seed gives the training that it gave with mmagic's step."""
    for seed in range(5):
        squares = []
        for step in (RandomCrop(['img', 'gt'], 10), transforms.FixedCrop(['img', 'gt'], (10, 10))):
            np.random.seed(seed)
            squares.append(step(dict(img=rgb, gt=rgb[::-1], img_path='a')))
        assert all(np.array_equal(squares[0][key], squares[1][key]) for key in ('img', 'gt', 'img_crop_bbox', 'gt_crop_bbox'))


def test_crop_of_a_pair_of_unequal_sizes(rgb):
    with pytest.raises(ValueError, match='The images img and gt of low/a.png differ in size: 16x12 and 15x12'):
        RandomCrop(['img', 'gt'], 10)(dict(img=rgb, gt=rgb[:, 1:], img_path='low/a.png'))

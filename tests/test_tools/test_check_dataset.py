import re
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from golden import shared
from PIL import Image, ImageEnhance

from mmskf.datasets import darken

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools' / 'dataset_converters'))
import check_dataset  # noqa: E402

SCENES = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png')


@pytest.fixture(scope='module')
def photos():
    """Name -> small photo, 180x135."""
    folder = Path(skimage.__file__).parent / 'data'
    return {Path(name).stem: Image.open(folder / name).convert('RGB').resize((180, 135)) for name in SCENES}


@pytest.fixture
def data(tmp_path, photos):
    """A sound paired data set: three scenes to train, two to test."""
    rng = np.random.default_rng(0)
    for i, (name, photo) in enumerate(photos.items()):
        for side in ('low', 'high'):
            path = tmp_path / ('train' if i < 3 else 'test') / side / f'{name}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            (photo if side == 'high' else Image.fromarray(darken(np.asarray(photo), rng, 0.03))).save(path)
    return tmp_path


def check(capsys, *arguments):
    code = check_dataset.main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out


def test_sound_folder(data, capsys):
    code, out = check(capsys, 'paired', data)
    assert code == 0
    assert 'img: 3 images, 180x135' in out and 'gt: 2 images, 180x135' in out
    assert '0 of 2 test images are also among 3 training images' in out
    assert 'is a complete "paired" data set' in out
    assert 'note: 6 images are smaller than the default crop of 256' in out


def test_every_problem_is_told_by_file(data, capsys):
    broken = data / 'train' / 'low' / 'astronaut.png'
    broken.write_bytes(broken.read_bytes()[:3000])
    (data / 'train' / 'high' / 'chelsea.png').unlink()
    Image.new('RGB', (180, 134)).save(data / 'train' / 'high' / 'coffee.png')
    code, out = check(capsys, 'paired', data)
    assert code == 1
    assert f'{broken} cannot be read as an image' in out
    assert f'1 of the 3 images of "img" have none in "gt" ({data / "train" / "high"}): {data}/train/low/chelsea.png' in out
    assert f'differ in size: {data}/train/low/coffee.png 180x135, {data}/train/high/coffee.png 180x134' in out
    assert f'{data}: 3 problems' in out


def test_skipped_files_are_told(data, capsys):
    (data / 'train' / 'low' / 'astronaut.nef').write_bytes(b'')
    (data / 'train' / 'low' / 'Thumbs.db').write_bytes(b'')
    code, out = check(capsys, 'paired', data)
    assert code == 0 and f'not an image, or a link to a folder): {data}/train/low/Thumbs.db' in out
    assert f'Skipped: {data}/train/low/astronaut.nef; that is a raw file of a camera' in out


def test_missing_folders_are_told_once_each(data, capsys):
    code, out = check(capsys, 'lol', data)
    assert code == 1
    assert out.count(f'does not exist: {data}/our485/low.') == 1
    assert f'{data}: 4 problems' in out


def test_names_and_numbers_of_lolv2(data, capsys):
    for split in ('train', 'test'):
        for side, folder, name in (('low', 'Low', 'low'), ('high', 'Normal', 'normal')):
            target = data / split.title() / folder
            target.mkdir(parents=True)
            for i, path in enumerate(sorted((data / split / side).iterdir())):
                path.rename(target / f'{name}{i:05}.png')
    code, out = check(capsys, 'lolv2_real', data)
    assert code == 1
    assert 'img: 3 images (expected 689)' in out
    assert 'Test/Normal contains 2 images, expected 100' in out
    assert f'{data}: 4 problems' in out


def test_unpaired_sets(data, photos, capsys):
    for i in range(9):
        (data / 'LIME').mkdir(exist_ok=True)
        photos['rocket'].save(data / 'LIME' / f'{i}.bmp')
    code, out = check(capsys, 'unpaired', data)
    assert code == 1
    assert 'LIME contains 9 images, expected 10' in out
    assert all(f'does not exist: {data}/{name}.' in out for name in ('MEF', 'NPE', 'DICM', 'VV'))


def test_leak_within_a_data_set(data, photos, capsys):
    copy = ImageEnhance.Brightness(photos['coffee']).enhance(0.4).resize((90, 68)).resize((180, 135))
    copy.save(data / 'test' / 'high' / 'rocket.png')
    code, out = check(capsys, 'paired', data)
    assert code == 1
    assert '1 of 2 test images are also among 3 training images' in out
    assert f'{data}/test/high/rocket.png is also a training image: {data}/train/high/coffee.png' in out


@pytest.mark.parametrize('layout', ['', 'our485/high', 'Train/Normal', 'train/high'])
def test_leak_from_another_data_set(data, photos, capsys, tmp_path_factory, layout):
    other = tmp_path_factory.mktemp('other')
    (other / layout).mkdir(parents=True, exist_ok=True)
    photos['rocket'].save(other / layout / '22.jpg', quality=80)
    code, out = check(capsys, 'paired', data, '--against', other)
    assert code == 1
    assert f'{data}/test/high/rocket.png is also a training image: {other / layout}/22.jpg' in out


def test_against_a_folder_without_images(data, capsys):
    with pytest.raises(FileNotFoundError, match='--against .*nothing: no image there, nor in .*our485/high'):
        check(capsys, 'paired', data, '--against', data / 'nothing')


def test_hash_knows_a_photo_in_any_light_and_tells_photos_apart(photos):
    hashes = {name: check_dataset.perceptual_hash(np.asarray(photo)) for name, photo in photos.items()}
    assert all(value.shape == (check_dataset.HASH_BITS, ) for value in hashes.values())
    rng = np.random.default_rng(0)
    for name, photo in photos.items():
        image = np.asarray(photo)
        gamma = np.rint(255 * (image / 255)**0.5).astype(np.uint8)
        for changed in (image // 2, gamma, darken(image, rng, 0.03)):
            distances = {other: np.count_nonzero(check_dataset.perceptual_hash(changed) != value)
                         for other, value in hashes.items()}
            assert distances.pop(name) <= check_dataset.THRESHOLD // 2
            assert min(distances.values()) > 1.25 * check_dataset.THRESHOLD


def test_hash_ignores_a_monotone_tone_curve():
    gray = np.random.default_rng(0).permutation(64 * 64).reshape(64, 64, 1).repeat(3, axis=2).astype(np.float32)
    first = check_dataset.perceptual_hash(gray)
    assert np.array_equal(first, check_dataset.perceptual_hash(np.sqrt(gray) + 7))
    assert not np.array_equal(first, check_dataset.perceptual_hash(-gray))


def test_hash_on_real_pairs():
    folder = shared('data/real_pairs/test')
    low, high = ([check_dataset.perceptual_hash(np.asarray(Image.open(path).convert('RGB')))
                  for path in sorted((folder / side).iterdir())] for side in ('low', 'high'))
    distances = np.count_nonzero(np.array(low)[:, None] != np.array(high)[None], axis=2)
    assert distances.diagonal().max() <= check_dataset.THRESHOLD < distances[~np.eye(len(low), dtype=bool)].min()


def test_misaligned_partners(data, photos, capsys):
    """A shift is found through noise and darkness; none is reported for aligned pairs (test_sound_folder)."""
    low = data / 'train' / 'low' / 'chelsea.png'
    Image.fromarray(np.roll(np.asarray(Image.open(low)), (9, -6), axis=(0, 1))).save(low)
    code, out = check(capsys, 'paired', data)
    assert code == 1
    problem, = re.findall('problem: .*', out)
    rows, columns = map(int, re.search(r'by roughly (\d+) rows and (\d+) columns', problem).groups())
    assert (rows, columns) == (pytest.approx(9, abs=1), pytest.approx(6, abs=1))
    assert str(low) in problem and "exclude=['chelsea']" in problem


def test_lol_contains_one_misaligned_pair():
    """Among those that are a pixel off."""
    folder = shared('data/lol256/our485')
    pairs = {key: (folder / 'low' / f'{key}.png', folder / 'high' / f'{key}.jpg') for key in ('648', '649', '677', '700', '5')}
    assert list(check_dataset.find_misaligned(pairs)) == ['648']

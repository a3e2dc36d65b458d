import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmskf.datasets import EnhancementDataset, linear_to_srgb, srgb_to_linear

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tools' / 'dataset_converters'))
import synthesize_low_light


@pytest.fixture
def photos(tmp_path):
    """A folder of six small photos of five scenes."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ('a', 'b', 'c', 'd', 'e_left', 'e_right'):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / f'{name}.png')
    return folder


def synthesize(out, photos, *flags):
    synthesize_low_light.main([
        str(out), '--photos', str(photos), '--train-tile', '20', '15', '--test-tile', '40', '30', *flags])
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob('*.png'))}


def scenes_tested(files):
    return sorted({Path(name).stem.split('_')[0] for name in files if name.startswith('test')})


def test_shipped_photos_make_a_data_set(tmp_path, capsys):
    synthesize_low_light.main([str(tmp_path), '--versions', '1'])
    assert '20 training and 3 test pairs' in capsys.readouterr().out
    scenes = {}
    for split, size in (('train', (256, 256)), ('test', (400, 300))):
        dataset = EnhancementDataset(str(tmp_path / split), dict(img='low', gt='high'))
        scenes[split] = set()
        for i in range(len(dataset)):
            info = dataset.get_data_info(i)
            scenes[split].add(info['key'].rsplit('_', 2)[0])
            low, high = Image.open(info['img_path']), Image.open(info['gt_path'])
            assert low.size == high.size == size and low.mode == high.mode == 'RGB'
            share = srgb_to_linear(np.asarray(low) / 255).mean() / srgb_to_linear(np.asarray(high) / 255).mean()
            assert 0.015 / 1.15 < share < 0.06 * 1.15  # the white balance moves it
    assert scenes == dict(train={'astronaut', 'rocket', 'motorcycle_left', 'motorcycle_right'}, test={'chelsea', 'coffee'})


def test_same_seed_same_files(tmp_path, photos):
    first = synthesize(tmp_path / '1', photos)
    assert len(scenes_tested(first)) == 1
    assert synthesize(tmp_path / '2', photos) == first
    other = synthesize(tmp_path / '3', photos, '--seed', '1', '--test', *scenes_tested(first))
    assert other.keys() == first.keys()
    assert all((other[name] == first[name]) == ('high' in name) for name in first)


def test_split_is_by_scene(tmp_path, photos):
    files = synthesize(tmp_path / 'out', photos, '--test', 'e')
    assert scenes_tested(files) == ['e']
    assert {Path(name).stem[0] for name in files if name.startswith('train')} == set('abcd')
    assert sum(name.startswith('test/low/e_left') or name.startswith('test/low/e_right') for name in files) == 2


def test_layout_of_lol(tmp_path, photos):
    paired, lol = synthesize(tmp_path / 'paired', photos), synthesize(tmp_path / 'lol', photos, '--layout', 'lol')
    assert {name.replace('our485', 'train').replace('eval15', 'test') for name in lol} == set(paired)
    dataset = EnhancementDataset(str(tmp_path / 'lol'), dict(img='our485/low', gt='our485/high'))
    assert len(dataset) == sum(name.startswith('train/low') for name in paired)


def test_versions_differ_and_share_the_ground_truth(tmp_path, photos):
    files = synthesize(tmp_path / 'out', photos, '--versions', '2', '--test', 'a')
    assert files['train/high/b_0101_0.png'] == files['train/high/b_0101_1.png']
    assert files['train/low/b_0101_0.png'] != files['train/low/b_0101_1.png']


def test_flags_reach_the_picture(tmp_path, photos):
    synthesize(tmp_path / 'out', photos, '--test', 'a', '--exposure', '0.25', '0.25', '--full-well', '1e12',
               '--read-noise', '0', '--white-balance', '0')
    low, high = (np.asarray(Image.open(tmp_path / 'out' / 'test' / side / 'a_0000_0.png')) for side in ('low', 'high'))
    assert np.abs(low - 255 * linear_to_srgb(srgb_to_linear(high / 255) / 4)).max() < 0.51


def test_tiles_cover_and_fit():
    image = np.arange(427 * 640).reshape(427, 640)
    cut = dict(synthesize_low_light.tiles(image, 256, 256))
    assert list(cut) == ['0000', '0001', '0100', '0101']
    assert all(tile.shape == (256, 256) for tile in cut.values())
    assert cut['0000'][0, 0] == 0 and cut['0101'][-1, -1] == image[-1, -1]
    (position, whole), = synthesize_low_light.tiles(image, 1000, 1000)
    assert position == '0000' and np.array_equal(whole, image)
    (_, middle), = synthesize_low_light.tiles(image, 600, 400)
    assert middle[0, 0] == image[13, 20]


def test_existing_pairs_are_kept_without_overwrite(tmp_path, photos):
    stranger = tmp_path / 'out' / 'train' / 'low' / 'mine.png'
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b'mine')
    with pytest.raises(FileExistsError, match='train/low is not empty: .*--overwrite'):
        synthesize(tmp_path / 'out', photos)
    assert 'train/low/mine.png' not in synthesize(tmp_path / 'out', photos, '--overwrite')


def test_bad_input(tmp_path, photos):
    with pytest.raises(FileNotFoundError, match='--photos .*none: no such folder'):
        synthesize(tmp_path / 'out', tmp_path / 'none')
    with pytest.raises(ValueError, match='--test: no photo of moon; there are a, b, c, d, e'):
        synthesize(tmp_path / 'out', photos, '--test', 'moon')
    with pytest.raises(ValueError, match='none is left for train'):
        synthesize(tmp_path / 'out', photos, '--test', 'a', 'b', 'c', 'd', 'e')
    (photos / 'f.png').write_bytes((photos / 'a.png').read_bytes()[:200])
    with pytest.raises(OSError, match='f.png cannot be read as an image'):
        synthesize(tmp_path / 'out', photos)


def test_bad_flags(tmp_path, capsys):
    with pytest.raises(SystemExit):
        synthesize_low_light.main([str(tmp_path), '--exposure', '0.1', '0.01'])
    assert '--exposure 0.1 0.01: expected 0 < MIN <= MAX' in capsys.readouterr().err

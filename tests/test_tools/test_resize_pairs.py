import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def module(tool):
    return tool('tools/dataset_converters/resize_pairs')


def triangles(before, after):
    """Matrix that reduces ``before`` pixels to ``after``."""
    factor = before / after
    distance = np.arange(before) + 0.5 - factor * (np.arange(after)[:, None] + 0.5)
    weights = np.maximum(0, 1 - np.abs(distance) / factor)
    return weights / weights.sum(1, keepdims=True)


def test_pairs_are_averaged_down(module, tmp_path, capsys):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    for split in ('our485', 'eval15'):
        for side in ('low', 'high'):
            (tmp_path / 'LOL' / split / side).mkdir(parents=True)
            Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(tmp_path / 'LOL' / split / side / '7.bmp')
    module.main(['lol', str(tmp_path / 'LOL'), str(tmp_path / 'small'), '--size', '32', '8'])
    files = sorted(path.relative_to(tmp_path / 'small').as_posix() for path in tmp_path.glob('small/*/*/*'))
    assert files == [f'{split}/{side}/7.png' for split in ('eval15', 'our485') for side in ('high', 'low')]
    reduced = np.asarray(Image.open(tmp_path / 'small' / files[0]))
    assert reduced.shape == (8, 32, 3)
    # Pillow's filter is a triangle, as wide as two pixels of the result, cut off at the border.
    vertical, horizontal = triangles(32, 8), triangles(64, 32)
    expected = vertical @ pixels.repeat(8, 0).repeat(8, 1)[..., 0] @ horizontal.T
    assert np.abs(reduced[..., 0] - expected).max() <= 1
    assert '4 images of 32x8' in capsys.readouterr().out


def test_what_is_there_is_not_overwritten(module, pairs, tmp_path):
    with pytest.raises(FileExistsError, match='exists already'):
        module.main(['paired', str(pairs), str(pairs)])
    with pytest.raises(FileNotFoundError, match='our485'):
        module.main(['lol', str(pairs), str(tmp_path / 'new')])
    with pytest.raises(ValueError, match='--size 0 8'):
        module.main(['paired', str(pairs), str(tmp_path / 'new'), '--size', '0', '8'])
    assert not list(tmp_path.iterdir())

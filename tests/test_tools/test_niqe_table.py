import csv

import numpy as np
import pytest
from PIL import Image

from mmskf.evaluation import NIQE


@pytest.fixture(scope='module')
def module(tool):
    return tool('tools/analysis_tools/niqe_table')


@pytest.fixture
def photos(tmp_path):
    """Two sets; LIME also contains a photo that is too small for NIQE. Name -> images."""
    rng = np.random.default_rng(0)
    sizes = dict(DICM=[(200, 220), (192, 96)], LIME=[(192, 210), (20, 20)])
    images = {name: [rng.integers(0, 60, (*size, 3), dtype=np.uint8) for size in sizes[name]] for name in sizes}
    for name in images:
        (tmp_path / name).mkdir()
        for number, image in enumerate(images[name]):
            Image.fromarray(image).save(tmp_path / name / f'{number}.png')
    return tmp_path, images


def test_table(module, photos, tmp_path, capsys):
    root, images = photos
    out = [tmp_path / 'out' / name for name in ('table.md', 'table.csv')]
    assert module.main([str(root), '--models', 'identity', 'gamma', '--out', *map(str, out), '--device', 'cpu']) == 0
    text, err = capsys.readouterr()
    with open(out[1], newline='') as file:
        header, *rows = csv.reader(file)
    assert out[0].read_text() == text and text.splitlines()[3] == f'| {" | ".join(rows[1])} |'
    assert header == ['model', 'LIME (2)', 'DICM (2)', 'mean of the sets'] and [row[0] for row in rows] == ['identity', 'gamma']
    niqe = NIQE()
    for row, change in zip(rows, (lambda image: image, lambda image: np.rint(255 * (image / 255)**(1 / 2.2)).astype(np.uint8))):
        lime, dicm = ([niqe.measure(change(image)) for image in images[name]] for name in ('LIME', 'DICM'))
        expected = [lime[0], np.mean(dicm), (lime[0] + np.mean(dicm)) / 2]
        assert np.abs(np.array(row[1:], float) - expected).max() < 0.01
    assert 'gamma, LIME: the mean of 1 of 2 photos' in err


def test_a_model_that_fails_costs_one_row(module, photos, monkeypatch, capsys):
    root, _ = photos
    mean_niqe = module.mean_niqe

    def failing(name, *args):
        if name == 'gamma':
            raise MemoryError('too large')
        return mean_niqe(name, *args)

    monkeypatch.setattr(module, 'mean_niqe', failing)
    assert module.main([str(root), '--models', 'identity', 'gamma', 'identity', '--device', 'cpu']) == 1
    text, err = capsys.readouterr()
    _, _, first, second, third = text.splitlines()
    assert second == '| gamma | not measured | not measured | not measured |' and 'gamma failed: too large' in err
    assert first == third and 'not measured' not in first


def test_a_photo_that_fails_is_not_left_out(module, photos, capsys):
    root, _ = photos
    (root / 'LIME' / 'broken.png').write_bytes(b'\x89PNG')
    assert module.main([str(root), '--models', 'identity', '--device', 'cpu']) == 1
    text, err = capsys.readouterr()
    assert '| identity | not measured |' in text and 'identity failed: ' in err and 'broken.png cannot be read' in err


def test_wrong_calls(module, photos, tmp_path, capsys):
    with pytest.raises(ValueError, match='drbn_lol was given no weights'):
        module.main([str(photos[0]), '--models', 'identity', 'drbn_lol'])
    with pytest.raises(FileNotFoundError, match='has none of the folders MEF'):
        module.main([str(tmp_path / 'LIME'), '--models', 'identity'])
    with pytest.raises(SystemExit):
        module.main([str(photos[0]), '--models', 'identity', '--out', 'table.txt'])
    assert 'choose a name that ends in .md or .csv' in capsys.readouterr().err

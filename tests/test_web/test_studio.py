from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from mmskf.apis import DEFAULT_MODEL, SKFInferencer, init_model
from mmskf.evaluation import NIQE
from mmskf.web import Studio
from mmskf.web.studio import PREVIEW_SIDE, _middle


@pytest.fixture(scope='module')
def studio():
    return Studio('gamma', device='cpu')


def test_outcomes(studio, photos, tmp_path):
    outcomes = list(studio.enhance(photos, tmp_path / 'out', 'gamma', 0.5))
    good, damaged, small = outcomes
    assert [outcome.name for outcome in outcomes] == ['a.jpg', 'damaged.jpg', 'b.png']
    assert damaged.reason.startswith('damaged.jpg cannot be read as an image') and damaged.result is None
    SKFInferencer('gamma', device='cpu')(photos[0], tmp_path / 'expected', strength=0.5)
    assert good.reason is None and good.result.read_bytes() == (tmp_path / 'expected' / 'a.jpg').read_bytes()
    assert good.size == (300, 240) and good.seconds > 0 and (good.memory is None or good.memory > 10**7)
    with Image.open(good.result) as result, Image.open(photos[0]) as photo:
        assert result.format == 'JPEG' and result.getexif()[0x010f] == 'a camera'
        assert good.niqe[0] == pytest.approx(NIQE().measure(np.asarray(photo)))
        # The result is scored before it becomes a JPEG.
        assert good.niqe[1] == pytest.approx(NIQE().measure(np.asarray(result)), rel=0.1)
        for preview, full in ((good.before, photo), (good.after, result)):
            with Image.open(preview) as picture:
                assert picture.format == 'JPEG' and picture.size == full.size
                assert np.abs(np.asarray(picture, float) - np.asarray(full)).mean() < 4
    assert small.niqe == (None, None) and small.result.suffix == '.png'


def test_large_photos_become_small_pictures(studio, tmp_path):
    Image.new('RGB', (2000, 1000), (20, 30, 40)).save(tmp_path / 'large.png')
    outcome, = studio.enhance([tmp_path / 'large.png'], tmp_path / 'out', 'gamma')
    with Image.open(outcome.after) as picture, Image.open(outcome.result) as result:
        assert picture.size == (PREVIEW_SIDE, PREVIEW_SIDE // 2) and result.size == (2000, 1000) == outcome.size
    pixels = np.arange(3000 * 3000, dtype=np.int32).reshape(3000, 3000, 1)
    middle = _middle(pixels)
    assert middle.shape == (2000, 2000, 1) and middle[1000, 1000, 0] == pixels[1500, 1500, 0]


def test_strength_by_class(studio, photos, tmp_path):
    path, names = studio.find_classes(photos[0], tmp_path, 'gamma')
    with Image.open(path) as picture:
        assert picture.width == 300 and picture.height > 240  # the legend
    inferencer = studio.inferencer('gamma')
    labels = inferencer.labels(np.asarray(Image.open(photos[0])))
    counts = np.bincount(labels.ravel(), minlength=len(inferencer.classes))
    assert names[0] == inferencer.classes[np.argmax(counts)] and set(names) <= set(inferencer.classes)
    assert len(names) == np.count_nonzero(counts >= 0.01 * labels.size)
    none = dict.fromkeys(inferencer.classes, 0.)
    outcome, = studio.enhance(photos[2:], tmp_path / 'out', 'gamma', 1., none)
    with Image.open(outcome.result) as result, Image.open(photos[2]) as photo:
        assert np.array_equal(result, photo)


def test_wrong_values(studio, photos, tmp_path):
    for args, message in ((('drbn_lol', ), "no model 'drbn_lol' here"), (('gamma', 1.5), 'strength is 1.5'),
                          (('gamma', 1., {'moon': 0.5}), 'names moon, which the knowledge bank does not know')):
        with pytest.raises(ValueError, match=message):
            studio.enhance(photos, tmp_path / 'out', *args)
    with pytest.raises(OSError, match='damaged.jpg cannot be read'):
        studio.find_classes(photos[1], tmp_path, 'gamma')
    outcome, = studio.enhance([tmp_path / 'removed.jpg'], tmp_path / 'out', 'gamma')
    assert outcome.reason == 'removed.jpg is no longer on the server: drop it again'
    assert not (tmp_path / 'out' / 'results').exists()


def test_pixel_limit(photos, tmp_path):
    studio = Studio('gamma', pixel_limit=1000, device='cpu')
    outcome, = studio.enhance(photos[:1], tmp_path / 'out', 'gamma')
    assert 'a.jpg has 300x240 = 72,000 pixels, more than the limit of 1,000' in outcome.reason


def test_models(tmp_path):
    assert Studio(device='cpu').models == [
        DEFAULT_MODEL, 'clahe', 'drbn_skf_lol256', 'gamma', 'identity', 'lime', 'llflow_s_skf_lol256']
    torch.save(dict(state_dict=init_model('drbn_lol').state_dict()), tmp_path / 'mine.pth')
    studio = Studio('drbn_lol', str(tmp_path / 'mine.pth'), device='cpu')
    assert studio.models[:2] == [studio.default, 'clahe'] and studio.default == 'drbn_lol (mine.pth)'
    for args, message in ((('drbn_lol', ), 'drbn_lol was given no weights'), (('drbn.onnx', ), 'is an exported model'),
                          ((None, 'mine.pth'), 'without the model that it belongs to')):
        with pytest.raises(ValueError, match=message):
            Studio(*args, device='cpu')


def test_one_at_a_time(studio, photos, tmp_path, monkeypatch):
    inferencer, at_work, seen = studio.inferencer('gamma'), [], []
    enhance = inferencer._enhance

    def watched(results):
        at_work.append(1)
        seen.append(len(at_work))
        found = enhance(results)
        at_work.pop()
        return found

    monkeypatch.setattr(inferencer, '_enhance', watched)
    threads = [Thread(target=lambda folder: list(studio.enhance(photos[:1] * 3, tmp_path / folder, 'gamma')), args=(name, ))
               for name in 'xyz']
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 9

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from processes import environment

import mmskf
from mmskf.apis import SKFInferencer, init_model
from mmskf.cli import main


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a.png', 'x/b.jpg'):
        path = tmp_path / 'photos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 60, (16, 20, 3), dtype=np.uint8)).save(path)
    return tmp_path / 'photos'


def run(capsys, *args):
    code = main([str(arg) for arg in args])
    return (code, *capsys.readouterr())


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_enhance(capsys, photos, tmp_path):
    """By the model that comes with mmskf."""
    code, out, err = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--quiet')
    assert code == 0 and out == f'2 of 2 photos enhanced: {tmp_path}/out\n' and not err
    assert files_below(tmp_path / 'out') == ['a.png', 'x/b.jpg']


def test_enhance_by_a_trained_model(capsys, photos, tmp_path):
    torch.save(dict(state_dict=init_model('drbn_lol').state_dict()), tmp_path / 'drbn.pth')
    code, _, err = run(capsys, 'enhance', photos / 'a.png', '-o', tmp_path / 'out', '--model', 'drbn_lol', '--weights',
                       tmp_path / 'drbn.pth', '--device', 'cpu', '--amp', '--max-pixels', 0, '--batch-size', 2)
    assert code == 0 and err == '' and files_below(tmp_path / 'out') == ['a.png']
    result = (tmp_path / 'out' / 'a.png').read_bytes()
    code, _, err = run(capsys, 'enhance', photos / 'a.png', '-o', tmp_path / 'out', '--model', 'drbn_lol')
    assert code == 2 and 'mmskf: drbn_lol was given no weights' in err and '(--weights)' in err
    assert (tmp_path / 'out' / 'a.png').read_bytes() == result


def test_all_options_act(capsys, photos, tmp_path):
    code, _, _ = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--model', 'gamma', '--format', 'png', '--bits', 16,
                     '--strength', 0.5, '--class-strength', 'sky=0', 'road=0', '--side-by-side', '--semantic-map', '--quiet')
    assert code == 0
    assert files_below(tmp_path / 'out') == [
        'a.png', 'semantic_map/a.png', 'semantic_map/x/b.png', 'side_by_side/a.png', 'side_by_side/x/b.png', 'x/b.png']
    code, _, err = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--model', 'gamma', '--pixel-limit', 100)
    assert code == 1 and err.count('more than the limit of 100') == 2


def test_semantic_map_alone(capsys, photos, tmp_path):
    code, _, _ = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--model', 'identity', '--semantic-map')
    assert code == 0
    assert files_below(tmp_path / 'out') == ['a.png', 'semantic_map/a.png', 'semantic_map/x/b.jpg', 'x/b.jpg']
    with Image.open(tmp_path / 'out' / 'a.png') as result, Image.open(photos / 'a.png') as photo:
        assert np.array_equal(result, photo)  # the strength is 1 everywhere
    with Image.open(tmp_path / 'out' / 'semantic_map' / 'a.png') as picture:
        overlay = np.asarray(picture)
    labels = SKFInferencer('identity', device='cpu').labels(np.asarray(Image.open(photos / 'a.png')))
    assert overlay.shape[1] == 20 and overlay.shape[0] > 16
    hues = [overlay[:16][labels == label].astype(int) for label in np.unique(labels)]
    # One color per class over the gray photo, apart from rounding.
    assert all(np.abs((hue - hue[:1]) - (hue - hue[:1])[:, :1]).max() <= 2 for hue in hues)


@pytest.fixture
def video(tmp_path):
    av = pytest.importorskip('av')
    path = tmp_path / 'clips' / 'night.avi'
    path.parent.mkdir()
    with av.open(str(path), 'w') as writer:
        stream = writer.add_stream('mpeg4', rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for _ in range(3):
            writer.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30, np.uint8), 'rgb24')))
        writer.mux(stream.encode())
    return path


def test_videos(capsys, photos, video, tmp_path):
    av = pytest.importorskip('av')
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    inputs = [photos, video, tmp_path / 'broken.mp4']
    code, out, err = run(capsys, 'enhance', *inputs, '-o', tmp_path / 'out', '--model', 'gamma', '--smooth', 1, '--json')
    report = json.loads(out)
    assert code == 1 and files_below(tmp_path / 'out') == ['a.png', 'night.mkv', 'x/b.jpg']
    assert report['enhanced'][2] == dict(input=str(video), output=str(tmp_path / 'out' / 'night.mkv'))
    assert [item['input'] for item in report['failed']] == [str(tmp_path / 'broken.mp4')] and 'cannot be read as a video' in err
    with av.open(str(tmp_path / 'out' / 'night.mkv')) as reader:
        frames = [frame.to_ndarray(format='rgb24') for frame in reader.decode(video=0)]
    assert len(frames) == 3 and np.abs(frames[2].astype(int) - 255 * (30 / 255)**(1 / 2.2)).max() < 6
    code, out, _ = run(capsys, 'enhance', video, '-o', tmp_path / 'out', '--model', 'gamma', '--strength', 0)
    assert code == 0 and out.startswith('1 of 1 videos enhanced')
    for args, message in ((['-o', tmp_path / 'out', '--strength', 2], 'strength is 2.0'),
                          (['-o', tmp_path / 'out', '--smooth', -1], 'smoothed over -1.0 seconds'),
                          (['-o', video], 'is a file, not a folder')):
        code, _, err = run(capsys, 'enhance', video, '--model', 'gamma', *args)
        assert code == 2 and message in err
    (video.parent / 'night.mkv').write_bytes(b'another video')
    code, _, err = run(capsys, 'enhance', video, '-o', video.parent, '--model', 'gamma')
    assert code == 2 and 'night.mkv is in the folder of the originals' in err


def test_videos_without_pyav(capsys, photos, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'av', None)
    (photos / 'night.mp4').write_bytes(b'')
    code, out, err = run(capsys, 'enhance', photos / 'a.png', photos / 'night.mp4', '-o', tmp_path / 'out', '--model', 'gamma')
    assert code == 1 and out.startswith('1 of 2') and f'failed: {photos}/night.mp4: Videos are read and written by PyAV' in err
    code, _, err = run(capsys, 'enhance', photos / 'night.mp4', '-o', tmp_path / 'out')
    assert code == 2 and 'pip install "mmskf[video]"' in err


def test_some_fail(capsys, photos, tmp_path):
    (photos / 'broken.png').write_bytes((photos / 'a.png').read_bytes()[:100])
    (photos / 'notes.txt').write_text('hello')
    inputs = [photos, tmp_path / 'nowhere.jpg']
    code, out, err = run(capsys, 'enhance', *inputs, '-o', tmp_path / 'out', '--model', 'gamma')
    assert code == 1 and out.startswith('2 of 4 photos enhanced')
    assert f'failed: {photos}/broken.png cannot be read' in err
    assert f'failed: There is no file or folder {tmp_path}/nowhere.jpg' in err
    assert 'Skipped' in err and 'notes.txt' in err and 'Traceback' not in err
    code, out, err = run(capsys, 'enhance', *inputs, '-o', tmp_path / 'out', '--model', 'gamma', '--json', '--quiet')
    report = json.loads(out)
    assert code == 1 and report['model'] == 'gamma'
    assert [done['output'] for done in report['enhanced']] == [str(tmp_path / 'out' / name) for name in ('a.png', 'x/b.jpg')]
    assert [failed['input'] for failed in report['failed']] == [str(photos / 'broken.png'), str(tmp_path / 'nowhere.jpg')]
    code, out, _ = run(capsys, 'enhance', *inputs, '-o', tmp_path / 'new', '--model', 'gamma', '--fail-fast')
    assert code == 1 and '1 of 4' in out and 'stopped at the first' in out and files_below(tmp_path / 'new') == ['a.png']


def test_nothing_to_do(capsys, tmp_path):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'raw').mkdir()
    (tmp_path / 'raw' / 'photo.NEF').touch()
    (tmp_path / 'video').mkdir()
    (tmp_path / 'video' / 'night.mp4').touch()
    inputs = [tmp_path / name for name in ('nowhere.jpg', 'empty', '*.gif', 'raw', 'video')]
    code, out, err = run(capsys, 'enhance', *inputs, '-o', tmp_path / 'out')
    assert code == 2 and not out and not (tmp_path / 'out').exists()
    messages = err.splitlines()
    assert len(messages) == len(inputs) and all(text in message for text, message in zip(
        ('no file or folder', 'contains no image (JPEG, PNG, TIFF, WebP, AVIF...): it is empty', 'No file matches',
         'photo.NEF; that is a raw file', 'night.mp4; a video is enhanced only if its file itself is named'), messages))
    assert max(map(len, err.splitlines())) < 400 + len(str(tmp_path))


@pytest.mark.parametrize('args, message', [
    ([], 'required: -o/--out'), (['-o', 'out', '--strength', '3'], 'strength is 3.0'),
    (['-o', 'out', '--model', 'drbm_lol'], 'Did you mean drbn'),
    (['-o', 'out', '--class-strength', 'sky'], 'expected CLASS=STRENGTH'),
    (['-o', 'out', '--class-strength', '0.2'], 'expected CLASS=STRENGTH'),
    (['-o', 'out', '--class-strength', 'moon=1', '--class-strength', 'sky=1'], 'names moon'),
    (['-o', 'out', '--model', 'gamma', '--batch-size', '0'], 'batch_size=0: expected 1'),
    (['-o', 'out', '--model', 'gamma', '--smooth', '1'], '--smooth is for videos'),
    (['-o', '', '--model', 'gamma'], 'The name of the folder for the results is empty'),
    (['-o', 'out', '--model', 'a.png'], 'a.png is not a config'),
    (['-o', 'out', '--model', 'gamma', '--semantic-map', '--bank', 'nothing'], "no config or model called 'nothing'"),
    (['-o', 'out', '--model', 'gamma', '--semantic-map', '--bank', 'clahe'], 'describes no knowledge bank'),
    (['-o', 'out', '--model', 'gamma', '--class-strength', 'sky=1', '--bank', 'skb/segformer_mit-b0_ade20k'],
     'cannot read its weights'), (['-o', 'out', '--format', 'gif'], "format='gif'"),
    (['-o', 'out', '--class-strength', 'moon=1'], 'names moon'), (['-o', 'out', '--weights', 'w.pth'], 'without the model'),
    (['-o', 'a.png/out', '--model', 'gamma'], 'a.png is a file, not a folder'),
    (['-o', '.', '--model', 'gamma'], 'one of the originals'), (['-o', 'out', '--bits', '10'], 'invalid choice'),
    (['-o', 'out', '--model', 'drbn_lol', '--weights', 'nowhere.pth'], 'nowhere.pth'),
    (['-o', 'a.png', '--model', 'gamma'], 'a.png is a file, not a folder'),
    (['-o', '/proc/out', '--model', 'gamma'], 'nothing can be written here'),
    (['-o', 'out', '--model', 'gamma', '--bits', '16', '--format', 'jpg'], 'JPEG, which does not support 16 bits'),
    (['x/b.jpg', '-o', 'out', '--model', 'gamma', '--bits', '16'], 'x/b.jpg: its result would be written as JPEG'),
    (['-o', 'out', '--model', 'skb/hrnet_w18s_camvid'], 'has no field `model`'),
    (['-o', 'out', '--model', 'gamma', '--device', 'graphics'], 'device graphics is not available'),
])
def test_wrong_calls(capsys, photos, monkeypatch, args, message):
    monkeypatch.chdir(photos)
    try:
        code = main(['enhance', 'a.png', *args])
    except SystemExit as error:
        code = error.code
    out, err = capsys.readouterr()
    assert code == 2 and message in err and 'Traceback' not in err and not out
    assert files_below(photos) == ['a.png', 'x/b.jpg']


def test_cuda_without_a_graphics_card(capsys, photos, monkeypatch, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is one')
    code, _, err = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--model', 'gamma', '--device', 'cuda')
    assert code == 2 and err == ('mmskf: The device cuda is not available (PyTorch finds no graphics card that it can use): '
                                 'choose cpu, or omit the device (--device)\n')


@pytest.mark.parametrize('text, message', [('model = dict(', 'SyntaxError'), ('model = drbn', "'drbn' is not defined")])
def test_a_config_that_is_not_valid(capsys, photos, tmp_path, text, message):
    (tmp_path / 'mine.py').write_text(text)
    code, _, err = run(capsys, 'enhance', photos, '-o', tmp_path / 'out', '--model', tmp_path / 'mine.py')
    assert code == 2 and message in err and 'mine.py or one of its _base_ files is not a valid config' in err


def test_help_of_all_commands(capsys):
    for command in ([], ['enhance'], ['list'], ['info'], ['score'], ['export'], ['web']):
        with pytest.raises(SystemExit) as end:
            main([*command, '--help'])
        assert end.value.code == 0 and 'usage: mmskf' in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2


def test_as_a_module(photos, tmp_path):
    """In a process of its own, with a name that begins with a dash."""
    (photos / 'a.png').rename(photos / '-a b.png')
    result = subprocess.run(
        [sys.executable, '-m', 'mmskf', 'enhance', '-o', str(tmp_path / 'out'), '--model', 'gamma', '--json', '--', '-a b.png'],
        cwd=photos, env=environment(os.path.dirname(os.path.dirname(mmskf.__file__))), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)['enhanced'] == [{'input': '-a b.png', 'output': str(tmp_path / 'out' / '-a b.png')}]


def test_list(capsys):
    code, out, _ = run(capsys, 'list', 'drbn*')
    assert code == 0 and 'drbn_skf_lol' in out and 'snr_lol' not in out and 'to be given' in out
    code, out, _ = run(capsys, 'list', '--json')
    models = {model['name']: model for model in json.loads(out)}
    assert models['clahe']['weights'] == 'none needed' and models['drbn_lol']['parameters'] == 557668
    code, out, err = run(capsys, 'list', 'nothing*')
    assert code == 2 and not out and "no model is named 'nothing*'" in err


def test_info(capsys):
    code, out, _ = run(capsys, 'info', 'drbn_lol')
    assert code == 0 and '557,668' in out and 'none; skb/hrnet_w18s_camvid' in out
    code, out, _ = run(capsys, 'info', 'demo/drbn_skf_demo', '--json')
    found = json.loads(out)
    assert code == 0 and found['classes'][0] == 'sky' and found['of these in SE modules'] > 0
    code, out, _ = run(capsys, 'info', 'clahe')
    assert code == 0 and 'classes' in out and ', pavement, ' in out  # of the bank that segments photos for it
    code, out, err = run(capsys, 'info', 'nobody')
    assert code == 2 and "no config or model called 'nobody'" in err


def test_score(capsys, pairs, tmp_path):
    low, high = pairs / 'test' / 'low', pairs / 'test' / 'high'
    code, out, _ = run(capsys, 'score', low, '--reference', high, '--out', tmp_path / 'scores.csv', '--json')
    report = json.loads(out)
    assert code == 0 and len(report['images']) == 2
    values = []
    for scores in report['images']:
        name = os.path.basename(scores['image'])
        error = np.mean((np.asarray(Image.open(low / name), float) - np.asarray(Image.open(high / name)))**2)
        assert scores['PSNR'] == pytest.approx(10 * np.log10(255**2 / error))
        values.append(scores['PSNR'])
    assert report['mean']['PSNR'] == pytest.approx(np.mean(values))
    assert report['mean']['NIQE'] == 'not measured'  # they are too small
    with open(tmp_path / 'scores.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and float(rows[-1]['PSNR']) == pytest.approx(np.mean(values))


def test_score_without_references(capsys, tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (('large.png', (200, 220, 3)), ('small.png', (20, 20, 3))):
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG')
    code, out, err = run(capsys, 'score', tmp_path)
    assert code == 1 and '2 images: NIQE ' in out
    assert 'NIQE: 1 of 2 images could not be measured and are not in the mean, because they are smaller than' in out
    assert 'failed: ' in err and 'broken.png' in err
    code, out, err = run(capsys, 'score', tmp_path / 'large.png', '--reference', tmp_path / 'small.png')
    assert code == 1 and 'they must have the same size' in err
    code, out, err = run(capsys, 'score', tmp_path, '--out', tmp_path / 'large.png')
    assert code == 2 and 'one of the originals' in err
    code, out, err = run(capsys, 'score', tmp_path, '--out', tmp_path)
    assert code == 2 and 'is a folder, and the result is one file' in err
    assert run(capsys, 'score', tmp_path / 'nowhere')[0] == 2
    code, out, _ = run(capsys, 'score', tmp_path / '*l*.png', '--json')
    assert code == 0 and [os.path.basename(scores['image']) for scores in json.loads(out)['images']] == ['large.png', 'small.png']


def test_score_of_names_that_differ_in_their_extensions(capsys, tmp_path):
    """No image is left out, and none is compared with a reference that was only guessed."""
    dark = np.full((16, 16, 3), 10, np.uint8)
    files = dict(images=('a.bmp', 'a.png', 'a.webp', 'x/a.png', 'y.png'), references=('a.png', 'a.tif', 'x/a.tif'))
    for folder, names in files.items():
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(dark + (name == 'a.tif')).save(path)
    code, out, _ = run(capsys, 'score', tmp_path / 'images', '--json')
    assert code == 0 and len(json.loads(out)['images']) == 5
    code, out, err = run(capsys, 'score', tmp_path / 'images', '--reference', tmp_path / 'references', '--json')
    report = json.loads(out, parse_constant=pytest.fail)  # an infinite number is not JSON
    assert code == 1 and [(scores['image'], scores['PSNR']) for scores in report['images']] == [
        (f'{tmp_path}/images/a.png', 'inf'), (f'{tmp_path}/images/x/a.png', 'inf')]
    assert err.count('has several references: ') == 2 and 'y.png has no reference: there is no y.* in' in err
    code, out, _ = run(capsys, 'score', tmp_path / 'images' / 'a.webp', '--reference', tmp_path / 'references' / 'a.tif')
    assert code == 0 and out.startswith('1 images: PSNR ')
    code, out, _ = run(capsys, 'score', tmp_path / 'images' / 'a.png', '--reference', tmp_path / 'references')
    assert code == 0 and 'PSNR inf' in out
    assert run(capsys, 'score', tmp_path / 'images' / 'y.png', '--reference', tmp_path / 'references')[0] == 2

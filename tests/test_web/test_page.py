"""The page over HTTP, without a browser."""
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image
from processes import environment

import mmskf
from mmskf.apis import DEFAULT_MODEL, SKFInferencer
from mmskf.cli import main

gradio_client = pytest.importorskip('gradio_client')


def get(url):
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode(), response.headers


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    assert condition()


@pytest.fixture
def client(page, tmp_path):
    """A visitor, who leaves in the end."""
    client = gradio_client.Client(page.url, verbose=False, download_files=tmp_path / 'downloads')
    yield client
    client.close()


def uploaded(*paths):
    return [gradio_client.handle_file(str(path)) for path in paths]


def test_nothing_is_loaded_from_elsewhere(page):
    html, headers = get(page.url)
    assert headers['Content-Security-Policy'] == "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
    loaded = re.findall(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]+)"', html)
    assert len(loaded) > 3
    for address in loaded:
        assert get(urljoin(page.url + '/', address))[0]
        assert urljoin(page.url + '/', address).startswith(page.url)
    config = json.loads(get(f'{page.url}/config')[0])
    styles = [*config['stylesheets'], config['css'] or '', get(f'{page.url}/theme.css')[0]]
    assert not re.findall(r'(?:url\(|@import)\s*["\']?https?:', ' '.join(styles))
    fonts = re.findall(r"url\('([^')]+)'\)", ' '.join(styles))
    assert fonts and all(urllib.request.urlopen(f'{page.url}/{font}').status == 200 for font in fonts)
    assert config['analytics_enabled'] is False


def test_limits_are_stated(page):
    assert 'Photos, up to 2 MB and 50 megapixels' in get(page.url)[0]


def test_enhance(client, photos, tmp_path):
    """Also that the result is what ``mmskf enhance`` writes."""
    outputs = client.submit(uploaded(*photos), 'gamma', 0.5, {}, api_name='/enhance')
    _, _, problems, table, results = outputs.result()
    shown = outputs.outputs()
    # The page is cleared first, then each photo appears when it is done.
    assert [step[3].count('<tr>') for step in shown] == [0, 2, 2, 3]
    assert 'damaged.jpg cannot be read as an image' in problems and problems.count('<p>') == 1
    assert table.count('<tr>') == 3 and '300x240' in table and 'not measured' in table
    assert [Path(path).name for path in results['value']] == ['a.jpg', 'b.png']
    SKFInferencer('gamma', device='cpu')([photos[0], photos[2]], tmp_path / 'expected', strength=0.5)
    for path in results['value']:
        assert Path(path).read_bytes() == (tmp_path / 'expected' / Path(path).name).read_bytes()
    with Image.open(results['value'][0]) as result:
        assert result.getexif()[0x010f] == 'a camera'


def test_names_are_not_html(client, photos):
    photo = photos[1].rename(photos[1].with_name('<b>bold & damaged.jpg'))
    problems = client.predict(uploaded(photo), 'gamma', 1, {}, api_name='/enhance')[2]
    assert '<b>' not in problems and 'bold' in problems


def test_strength_by_class(page, client, photos):
    overlay, *_ = client.predict(uploaded(photos[0]), 'gamma', api_name='/find_classes')
    path = overlay['value'] if isinstance(overlay, dict) else overlay
    with Image.open(path) as picture:
        assert picture.width == 300 and picture.height > 240
    none = dict.fromkeys(page.studio.inferencer('gamma').classes, 0)
    *_, results = client.predict(uploaded(photos[2]), 'gamma', 1, none, api_name='/enhance')
    with Image.open(results['value'][0]) as result, Image.open(photos[2]) as photo:
        assert np.array_equal(result, photo)


@pytest.mark.parametrize('args, message', [
    ((None, 'gamma', 1, {}), 'There is no photo yet'),
    (('photo', 'gamma', 1, {'moon': 0}), 'names moon, which the knowledge bank does not know'),
    (('photo', 'gamma', 2, {}), '2'),
    (('photo', 'drbn_lol', 1, {}), 'drbn_lol'),
])
def test_wrong_calls(client, photos, args, message):
    given, *others = args
    with pytest.raises(Exception, match=message):
        client.predict(given and uploaded(photos[2]), *others, api_name='/enhance')


def call(page, api, *data):
    """A request as anybody can send it; returns the answer."""
    request = urllib.request.Request(f'{page.url}/gradio_api/call/{api}', json.dumps(dict(data=data)).encode(),
                                     {'Content-Type': 'application/json'})
    with urllib.request.urlopen(request) as response:
        event = json.load(response)['event_id']
    return get(f'{page.url}/gradio_api/call/{api}/{event}')[0]


def test_files_of_the_computer_are_not_read(page):
    for path in ('/etc/hostname', f'{page.folder}/../../etc/hostname', __file__):
        for api, more in (('enhance', (1, {})), ('find_classes', ())):
            answer = call(page, api, [dict(path=path, meta=dict(_type='gradio.FileData'))], 'gamma', *more)
            assert answer.startswith('event: error') and Path(path).read_text().splitlines()[0] not in answer
    assert not list(page.folder.rglob('hostname')) and not list(page.folder.rglob(Path(__file__).name))


def test_files_of_the_computer_are_not_served(page):
    for path in ('/etc/hostname', f'{page.folder}/../../etc/hostname'):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f'{page.url}/gradio_api/file={path}')
        assert refused.value.code == 403


def test_too_large_a_file(page, client, tmp_path):
    (tmp_path / 'large.jpg').write_bytes(bytes(2_100_000))
    with pytest.raises(Exception, match='2097152'):
        client.predict(uploaded(tmp_path / 'large.jpg'), 'gamma', 1, {}, api_name='/enhance')


def test_nothing_is_kept_when_a_visitor_leaves(page, client, photos):
    client.predict(uploaded(*photos), 'gamma', 1, {}, api_name='/enhance')
    client.predict(uploaded(photos[0]), 'gamma', api_name='/find_classes')
    names = {path.name for path in page.folder.rglob('*')}
    assert {'a.jpg', 'damaged.jpg', 'after.jpg', 'map.png'} <= names
    client.close()
    wait_for(lambda: not list(page.folder.iterdir()))


def test_the_command(tmp_path):
    """In a process of its own, which is ended by a signal while it enhances a large photo."""
    folder = tmp_path / 'temporary'
    folder.mkdir()
    Image.new('RGB', (5000, 5000), (9, 9, 9)).save(tmp_path / 'large.png')
    env = environment(os.path.dirname(os.path.dirname(mmskf.__file__)), TMPDIR=str(folder))
    process = subprocess.Popen([sys.executable, '-m', 'mmskf', 'web', '--port', '0', '--model', 'gamma'], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        url = re.fullmatch(r'mmskf: (http://127\.0\.0\.1:\d+) \(Ctrl-C stops it\)\n', line)[1]
        assert '<gradio-app' in get(url)[0]
        client = gradio_client.Client(url, verbose=False)
        client.submit(uploaded(tmp_path / 'large.png'), DEFAULT_MODEL, 1, {}, api_name='/enhance')
        wait_for(lambda: list(folder.glob('mmskf-web-*/*/large.png')))
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130 and err == 'mmskf: stopped\n' and out == ''
    assert not [*folder.glob('mmskf-web-*'), *folder.glob('tmp*'), *folder.rglob('large*')]


@pytest.mark.parametrize('args, message', [
    (['--port', '70000'], 'There is no port 70000: choose one from 1024 to 65535'),
    (['--host', '192.0.2.1'], '192.0.2.1 is no address of this computer'),
    (['--host', 'nowhere.invalid'], 'nowhere.invalid is no address of this computer'),
    (['--port', '0', '--model', 'nobody'], "no config or model called 'nobody'"),
    (['--port', '0', '--model', 'drbn_lol'], 'drbn_lol was given no weights'),
    (['--port', '0', '--model', 'drbn.onnx'], 'is an exported model'),
    (['--file-limit', '0'], '--file-limit 0: expected a number of megabytes'),
    (['--device', 'tpu', '--port', '0'], 'The device tpu is not available'),
])
def test_wrong_options(capsys, args, message):
    assert main(['web', *args]) == 2
    out, err = capsys.readouterr()
    assert message in err and err.startswith('mmskf: ') and err.count('\n') == 1 and not out


def test_a_port_in_use(capsys, page):
    port = page.url.rpartition(':')[2]
    assert main(['web', '--port', port]) == 2
    assert capsys.readouterr().err == (f'mmskf: Port {port} of 127.0.0.1 is in use, perhaps by another mmskf web: choose another '
                                       '(--port)\n')

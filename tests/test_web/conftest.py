from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from mmskf.web import Studio, Visits


@dataclass
class Served:
    """A page that is being served.

    Attributes:
        url (str): Its address.
        folder (Path): What it keeps on the disk.
        studio (Studio): What it enhances with.
    """
    url: str
    folder: Path
    studio: Studio


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """A page on a free port, with a fast model and files of at most 2 MB; it notices at once that a visitor leaves."""
    pytest.importorskip('gradio')
    from mmskf.web.server import make_app, make_server, one_folder, open_port

    tmp_path_factory.getbasetemp()  # not in the folder of the page
    studio = Studio('gamma', device='cpu')
    with pytest.MonkeyPatch.context() as environment, one_folder() as folder:
        environment.setenv('GRADIO_HEARTBEAT_INTERVAL', '0.2')
        port = open_port('127.0.0.1', 0)
        server = make_server(make_app(studio, Visits(folder), 2))
        thread = Thread(target=server.run, args=([port], ))
        thread.start()
        yield Served(f'http://127.0.0.1:{port.getsockname()[1]}', folder, studio)
        server.should_exit = True
        thread.join()


@pytest.fixture
def photos(tmp_path):
    """A photo with EXIF, a damaged one, and a small one."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 90, (12, 15, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x010f] = 'a camera'
    paths = [tmp_path / 'photos' / name for name in ('a.jpg', 'damaged.jpg', 'b.png')]
    paths[0].parent.mkdir()
    coarse.resize((300, 240)).save(paths[0], exif=exif)
    paths[1].write_bytes(paths[0].read_bytes()[:400])
    coarse.resize((20, 16)).save(paths[2])
    return paths

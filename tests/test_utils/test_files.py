import os
import resource
import stat
from contextlib import contextmanager

import mmcv
import mmengine
import numpy as np
import pytest

from mmskf.utils.files import PART, atomic_open, check_destination, remove_parts


@contextmanager
def full_disk(size):
    """No file grows beyond ``size`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_has_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with atomic_open(path, 'w') as file:
        file.write('first')
        assert not path.exists()
    assert path.read_text() == 'first' and stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()
    with atomic_open(path, 'w') as file:
        file.write('second')
        assert path.read_text() == 'first'
    assert path.read_text() == 'second' and os.listdir(path.parent) == ['a.txt']


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_error_between_leaves_what_was_there(tmp_path):
    (tmp_path / 'a').write_text('old')
    with pytest.raises(TypeError), atomic_open(tmp_path / 'a', 'w') as file:
        file.writelines(['half', 1])
    assert (tmp_path / 'a').read_text() == 'old' and os.listdir(tmp_path) == ['a']


@pytest.mark.parametrize('write', [
    lambda path: mmcv.imwrite(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), f'{path}.png'),
    lambda path: mmengine.dump(list(range(5000)), f'{path}.json'),
    lambda path: mmengine.fileio.put(bytes(9000), f'{path}.pth'),
])
def test_a_full_disk_is_an_error_that_names_the_file(tmp_path, write):
    """Of whatever mmengine and mmcv write, too."""
    with full_disk(4096), pytest.raises(OSError, match=f'File too large: this file is not written.*{tmp_path}/a'):
        write(tmp_path / 'a')
    assert not os.listdir(tmp_path)


def test_links_and_devices_are_written_to(tmp_path):
    (tmp_path / 'target').write_text('old')
    (tmp_path / 'link').symlink_to(tmp_path / 'target')
    with atomic_open(tmp_path / 'link', 'w') as file:
        file.write('new')
    assert (tmp_path / 'target').read_text() == 'new' and (tmp_path / 'link').is_symlink()
    with atomic_open(os.devnull) as file:
        file.write(b'x')
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / f'.1-0{PART}').touch()
    (tmp_path / 'a').touch()
    remove_parts(tmp_path)
    assert os.listdir(tmp_path) == ['a']


@pytest.mark.parametrize('path, folder, message', [
    ('a', False, None), ('new/b', False, None), ('new', True, None), ('', True, None), ('link', False, None),
    ('', False, 'is a folder, and the result is one file'),
    ('a', True, 'a cannot be written: .*a is a file, not a folder'),
    ('a/b.csv', False, 'a/b.csv cannot be written: .*a is a file, not a folder'),
])
def test_a_destination_is_tried_before_the_work(tmp_path, path, folder, message):
    (tmp_path / 'a').write_text('old')
    (tmp_path / 'link').symlink_to(tmp_path / 'new' / 'b')
    if message is None:
        check_destination(tmp_path / path, folder)
    else:
        with pytest.raises(OSError, match=message):
            check_destination(tmp_path / path, folder)
    assert sorted(os.listdir(tmp_path)) == ['a', 'link'] and (tmp_path / 'a').read_text() == 'old'


def test_a_destination_where_nothing_can_be_written():
    """Root may write to any folder, but not to all file systems."""
    with pytest.raises(OSError, match="nothing can be written here: '/proc/new/scores.csv'"):
        check_destination('/proc/new/scores.csv')
    check_destination(os.devnull)

import os

import numpy as np
import pytest
from PIL import Image

from mmskf.utils.image_folder import FORMATS, IMG_EXTENSIONS, Originals, describe_skipped, is_image_name, list_images


@pytest.mark.parametrize('name, taken', [
    ('a.png', True), ('c.Jpg', True), ('d.WEBP', True), ('e.avif', True), ('f.jp2', True), ('g.jfif', True), ('h.gif', True),
    ('i.heic', True), ('j.mpo', True), ('k.tiff', True), ('._photo.png', False), ('.png', False), ('notes.txt', False),
    ('drawing.eps', False), ('raw.dng', False), ('png', False), ('a.png.part', False)
])
def test_endings(name, taken):
    assert is_image_name(f'a folder.jpg/{name}') is taken


def test_endings_are_those_that_pillow_decodes():
    assert 'EPS' not in FORMATS and '.eps' not in IMG_EXTENSIONS and '.ps' not in IMG_EXTENSIONS
    known = Image.registered_extensions()
    assert {known[ending] for ending in IMG_EXTENSIONS if ending in known} - {'MPO', 'HEIF'} <= set(FORMATS)


@pytest.fixture
def tree(tmp_path):
    for name in ('b.png', 'A.JPG', 'x/c.webp', 'x/y/d.tif', '.hidden/e.png', '._b.png', 'notes.txt', 'p.dng', 'v.MP4',
                 'out/b.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    os.symlink(tmp_path / 'x', tmp_path / 'x' / 'loop', target_is_directory=True)
    os.mkfifo(tmp_path / 'pipe.png')
    return tmp_path


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_folder_with_all_below(tree):
    images, skipped = list_images(tree, leave_out=tree / 'out')
    assert names(images, tree) == ['A.JPG', 'b.png', 'x/c.webp', 'x/y/d.tif']
    assert sorted(names(skipped, tree)) == ['._b.png', '.hidden', 'notes.txt', 'p.dng', 'pipe.png', 'v.MP4', 'x/loop']
    text = describe_skipped(skipped)
    assert 'notes.txt' in text and 'p.dng; that is a raw file of a camera' in text
    assert 'v.MP4; a video is enhanced only if its file itself is named' in text
    assert describe_skipped([]) == ''


def test_folder_alone(tree):
    images, skipped = list_images(tree, recursive=False)
    assert names(images, tree) == ['A.JPG', 'b.png']
    assert sorted(names(skipped, tree)) == ['._b.png', 'notes.txt', 'p.dng', 'pipe.png', 'v.MP4']


@pytest.mark.parametrize('link', ['same', 'symlink', 'hardlink', 'folder', 'relative'])
def test_originals_are_known_by_any_name(tmp_path, link, monkeypatch):
    photo = tmp_path / 'photos' / 'a.png'
    photo.parent.mkdir()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(photo)
    monkeypatch.chdir(tmp_path)
    target = dict(same=photo, symlink=tmp_path / 'b.png', hardlink=tmp_path / 'c.png', folder=tmp_path / 'd' / 'a.png',
                  relative='photos/../photos/a.png')[link]
    if link == 'symlink':
        target.symlink_to(photo)
    elif link == 'hardlink':
        target.hardlink_to(photo)
    elif link == 'folder':
        target.parent.symlink_to(photo.parent, target_is_directory=True)
    originals = Originals([photo])
    with pytest.raises(FileExistsError, match=r'a result must not replace'):
        originals.check(target)
    originals.check(tmp_path / 'photos' / 'other.png')


def test_an_original_that_is_gone_is_still_none_to_write_to(tmp_path):
    with pytest.raises(FileExistsError):
        Originals([tmp_path / 'gone.png']).check(tmp_path / 'gone.png')

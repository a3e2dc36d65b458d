import pytest

from mmskf.web import Visits


@pytest.fixture
def visits(tmp_path):
    return Visits(tmp_path)


def upload(visits, content, name='a.jpg'):
    """As gradio does."""
    path = visits.root / content / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    return str(path)


def left(visits):
    return sorted(path.name for path in visits.root.rglob('*') if path.is_file())


def test_what_a_visitor_leaves_is_removed(visits):
    visits.arrive('other')
    visits.bring('one', [upload(visits, '1'), upload(visits, '2', 'b.jpg')])
    (visits.new_folder('one', 'results') / 'result.jpg').touch()
    (visits.new_folder('one', 'map') / 'map.png').touch()
    visits.bring('other', [upload(visits, '3', 'c.jpg')])
    assert left(visits) == ['a.jpg', 'b.jpg', 'c.jpg', 'map.png', 'result.jpg']
    visits.leave('one')
    assert left(visits) == ['c.jpg'] and not (visits.root / '1').exists()
    visits.leave('one')
    assert left(visits) == ['c.jpg']


def test_visitors_share_the_photos_that_they_share(visits):
    visits.bring('one', [upload(visits, '1', 'a.jpg')])
    visits.bring('other', [upload(visits, '1', 'same.jpg')])
    visits.leave('one')
    assert 'same.jpg' in left(visits)
    visits.leave('other')
    assert not list(visits.root.iterdir())


def test_the_last_one_takes_everything_along(visits):
    visits.arrive('one')
    visits.arrive('other')
    (visits.root / 'broken_off').touch()
    visits.leave('other')
    assert left(visits) == ['broken_off']
    visits.leave('one')
    assert visits.root.is_dir() and not list(visits.root.iterdir())


def test_only_the_latest_results_are_kept(visits):
    first = visits.new_folder('one', 'results')
    (first / 'result.jpg').touch()
    overlay, second = visits.new_folder('one', 'map'), visits.new_folder('one', 'results')
    assert not first.exists() and overlay.is_dir() and visits.expects(second)


def test_results_of_one_who_has_left_meanwhile(visits):
    folder = visits.new_folder('one', 'results')
    visits.leave('one')
    folder.mkdir()
    (folder / 'late.jpg').touch()
    assert not visits.expects(folder) and not folder.exists()


@pytest.mark.parametrize('name', ['outside.jpg', 'root/a.jpg', 'root/x/../../outside.jpg', 'root/x/y/a.jpg'])
def test_only_uploads_are_photos(tmp_path, name):
    (tmp_path / 'root' / 'x' / 'y').mkdir(parents=True)
    with pytest.raises(ValueError, match='was not uploaded'):
        Visits(tmp_path / 'root').bring('one', [str(tmp_path / name)])

import logging

import numpy as np
import pytest
from mmengine import Config
from PIL import Image

from mmskf.datasets import EnhancementDataset
from mmskf.registry import DATASETS


def save(path, size=(8, 6), value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (value, value, value)).save(path)
    return path


def make_pairs(root, names=('b', 'a', 'c'), low='low', high='high'):
    for name in names:
        save(root / low / f'{name}.png')
        save(root / high / f'{name}.png')


def samples(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


PAIRED = dict(img='low', gt='high')


def test_pairs_sorted_by_key(tmp_path):
    make_pairs(tmp_path)
    found = samples(EnhancementDataset(str(tmp_path), PAIRED))
    assert [sample['key'] for sample in found] == ['a', 'b', 'c']
    assert found[0]['img_path'] == str(tmp_path / 'low' / 'a.png')
    assert found[0]['gt_path'] == str(tmp_path / 'high' / 'a.png')


def test_pairs_by_templates(tmp_path):
    for number in ('00690', '00001'):
        save(tmp_path / 'Low' / f'low{number}.png')
        save(tmp_path / 'Normal' / f'normal{number}.jpg')
    found = samples(EnhancementDataset(str(tmp_path), dict(img='Low', gt='Normal'), dict(img='low{}', gt='normal{}')))
    assert [sample['key'] for sample in found] == ['00001', '00690']
    assert found[1]['gt_path'] == str(tmp_path / 'Normal' / 'normal00690.jpg')


def test_images_by_any_ending_and_what_is_skipped(tmp_path, monkeypatch):
    log = []
    monkeypatch.setattr('mmskf.datasets.enhancement_dataset.print_log', lambda message, **kwargs: log.append(message))
    names = ('a.webp', 'b.Jpg', 'c.avif', 'd.jp2', 'e.jfif', 'f.gif', 'g.TIFF')
    for name in (*names, '._a.png', 'notes.txt', 'h.eps', 'i.nef'):
        (tmp_path / name).write_bytes(b'')
    dataset = EnhancementDataset(str(tmp_path), dict(img=''))
    assert [sample['key'] for sample in samples(dataset)] == list('abcdefg')
    skipped = [str(tmp_path / name) for name in ('h.eps', 'i.nef', 'notes.txt')]
    assert dataset.skipped == skipped
    assert all(path in log[0] for path in skipped) and 'developed first' in log[0] and len(log) == 1
    only = EnhancementDataset(str(tmp_path), dict(img=''), img_suffix=('.jpg', ))
    assert [sample['key'] for sample in samples(only)] == ['b']


def test_template_is_no_regular_expression(tmp_path):
    save(tmp_path / 'low' / 'a+1.png')
    save(tmp_path / 'high' / '1.png')
    found = samples(EnhancementDataset(str(tmp_path), PAIRED, dict(img='a+{}', gt='{}')))
    assert [sample['key'] for sample in found] == ['1']


def test_data_sets_do_not_share_templates(tmp_path):
    make_pairs(tmp_path)
    templates = dict(img='{}')
    EnhancementDataset(str(tmp_path), PAIRED, templates)
    assert templates == dict(img='{}')


def test_unpaired(tmp_path):
    save(tmp_path / 'DICM' / '02.jpg')
    save(tmp_path / 'DICM' / '01.JPG')
    (tmp_path / 'DICM' / 'readme.txt').write_text('no image')
    found = samples(EnhancementDataset(str(tmp_path), dict(img='DICM')))
    assert [sample['key'] for sample in found] == ['01', '02']
    assert 'gt_path' not in found[0]


def test_recursive_pairs_within_folders(tmp_path):
    for scene in ('s1', 's2'):
        make_pairs(tmp_path, ['x'], f'low/{scene}', f'high/{scene}')
    found = samples(EnhancementDataset(str(tmp_path), PAIRED, recursive=True))
    assert [sample['key'] for sample in found] == ['s1/x', 's2/x']
    assert found[1]['gt_path'] == str(tmp_path / 'high' / 's2' / 'x.png')


def test_missing_folder(tmp_path):
    make_pairs(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        EnhancementDataset(str(tmp_path), dict(img='low', gt='normal'))
    for text in (str(tmp_path / 'normal'), '--data-root', 'data_prefix.gt', f"'{tmp_path}'"):
        assert text in str(error.value)


def test_empty_folder(tmp_path):
    make_pairs(tmp_path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='"gt" images holds no image: .*empty .*\\.png'):
        EnhancementDataset(str(tmp_path), dict(img='low', gt='empty'))


def test_unequal_pairs_name_side_and_images(tmp_path):
    make_pairs(tmp_path)
    for number in range(7):
        save(tmp_path / 'low' / f'only{number}.png')
    save(tmp_path / 'high' / 'z.png')
    with pytest.raises(ValueError) as error:
        EnhancementDataset(str(tmp_path), PAIRED)
    message = str(error.value)
    assert '7 of the 10 images of "img" have none in "gt"' in message
    assert str(tmp_path / 'low' / 'only4.png') in message and 'only5' not in message and 'and 2 more' in message
    assert f'1 of the 4 images of "gt" have none in "img" ({tmp_path / "low"}): {tmp_path / "high" / "z.png"}' in message


def test_name_that_does_not_follow_its_template(tmp_path):
    save(tmp_path / 'low' / 'low1.png')
    save(tmp_path / 'low' / 'night2.png')
    save(tmp_path / 'high' / '1.png')
    with pytest.raises(ValueError, match=r'not named "low\{\}\.\*": night2\.png.*filename_tmpl\.img'):
        EnhancementDataset(str(tmp_path), PAIRED, dict(img='low{}', gt='{}'))


def test_same_name_with_two_extensions(tmp_path):
    save(tmp_path / 'low' / 'a.png')
    save(tmp_path / 'low' / 'a.jpg')
    with pytest.raises(ValueError, match='a.jpg and .*a.png have the same name'):
        EnhancementDataset(str(tmp_path), dict(img='low'))


def test_incomplete_data_set_warns(tmp_path, monkeypatch):
    make_pairs(tmp_path)
    warnings = []
    monkeypatch.setattr('mmskf.datasets.enhancement_dataset.print_log',
                        lambda message, **kwargs: warnings.append((message, kwargs)))
    EnhancementDataset(str(tmp_path), PAIRED, metainfo=dict(num_images=3))
    assert not warnings
    EnhancementDataset(str(tmp_path), PAIRED, metainfo=dict(num_images=485))
    (message, kwargs), = warnings
    assert 'found 3 images, expected 485' in message
    assert kwargs['level'] == logging.WARNING


def load_config(repository, name):
    return Config.fromfile(repository / 'configs' / '_base_' / 'datasets' / name)


@pytest.fixture
def repository(request):
    return request.config.rootpath


@pytest.mark.parametrize('name,folders,names', [
    ('lol.py', ('our485/low', 'our485/high', 'eval15/low', 'eval15/high'), ('{}', '{}')),
    ('lolv2_real.py', ('Train/Low', 'Train/Normal', 'Test/Low', 'Test/Normal'), ('low{}', 'normal{}')),
    ('paired_folder.py', ('train/low', 'train/high', 'test/low', 'test/high'), ('{}', '{}')),
])
def test_paired_configs(tmp_path, repository, name, folders, names):
    config = load_config(repository, name)
    for i, folder in enumerate(folders):
        save(tmp_path / folder / f'{names[i % 2].format("00690")}.png', (300, 280), value=10 + 10 * i)
    assert config.val_dataloader == config.test_dataloader
    loaders = ((config.train_dataloader, (3, 256, 256)), (config.test_dataloader, (3, 280, 300)))
    for split, (loader, shape) in enumerate(loaders):
        low, high = (tmp_path / folders[2 * split + i] / f'{names[i].format("00690")}.png' for i in (0, 1))
        loader.dataset.data_root = str(tmp_path)
        sample = DATASETS.build(loader.dataset)[0]
        assert sample['inputs'].shape == sample['data_samples'].gt_img.shape == shape
        assert sample['inputs'].unique().tolist() == [10 + 20 * split]
        assert sample['data_samples'].gt_img.unique().tolist() == [20 + 20 * split]
        assert sample['data_samples'].metainfo['key'] == '00690'
        assert sample['data_samples'].metainfo['img_path'] == str(low)
        assert sample['data_samples'].metainfo['gt_path'] == str(high)


def test_counts_of_the_published_data_sets(repository):
    counts = {}
    for name in ('lol.py', 'lolv2_real.py', 'paired_folder.py'):
        config = load_config(repository, name)
        counts[name] = [loader.dataset.metainfo.num_images for loader in (config.train_dataloader, config.val_dataloader)]
    assert counts == {'lol.py': [485, 15], 'lolv2_real.py': [689, 100], 'paired_folder.py': [None, None]}


def test_augmentation_moves_both_images_alike(tmp_path, repository):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 128, (40, 50, 3), dtype=np.uint8)
    for folder, factor in (('train/low', 1), ('train/high', 2)):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(image * factor).save(tmp_path / folder / 'a.png')
    config = load_config(repository, 'paired_folder.py').train_dataloader.dataset
    config.data_root = str(tmp_path)
    config.pipeline[2].crop_size = 32
    dataset = DATASETS.build(config)
    np.random.seed(0)
    crops = [dataset[0] for _ in range(16)]
    assert all((sample['inputs'] * 2 == sample['data_samples'].gt_img).all() for sample in crops)
    assert len({sample['inputs'].numpy().tobytes() for sample in crops}) > 8


def test_unpaired_config(tmp_path, repository):
    config = load_config(repository, 'unpaired.py')
    assert dict(config.unpaired_sets) == dict(MEF=17, LIME=10, NPE=85, DICM=64, VV=24)
    for name, loader, evaluator in zip(config.unpaired_sets, config.unpaired_dataloader, config.unpaired_evaluator):
        save(tmp_path / name / 'x.bmp', (30, 20), value=7)
        loader.dataset.data_root = str(tmp_path)
        sample = DATASETS.build(loader.dataset)[0]
        assert sample['inputs'].shape == (3, 20, 30)
        assert 'gt_img' not in sample['data_samples']
        assert sample['data_samples'].metainfo['img_path'] == str(tmp_path / name / 'x.bmp')
        assert evaluator.metrics == [dict(type='NIQE', prefix=name)]


def test_a_method_changes_crop_and_test_sets(tmp_path, repository):
    (tmp_path / 'method.py').write_text(f'''
_base_ = ['{repository}/configs/_base_/datasets/lolv2_real.py', '{repository}/configs/_base_/datasets/unpaired.py']
_base_.train_dataloader.dataset.pipeline[2].crop_size = 160
test_dataloader, test_evaluator, test_cfg = _base_.unpaired_dataloader, _base_.unpaired_evaluator, _base_.unpaired_cfg
''')
    config = Config.fromfile(tmp_path / 'method.py')
    assert config.train_dataloader.dataset.pipeline[2] == dict(type='RandomCrop', keys=['img', 'gt'], crop_size=160)
    assert len(config.test_dataloader) == len(config.test_evaluator) == 5
    assert config.test_cfg == dict(type='mmagic.MultiTestLoop')

import logging

import numpy as np
import pytest
from PIL import Image

from mmskf.apis import load_config
from mmskf.apis.config import paired_layouts
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
    with pytest.raises(FileNotFoundError, match='"gt" images contains no image: .*empty .*\\.png'):
        EnhancementDataset(str(tmp_path), dict(img='low', gt='empty'))


def test_unequal_pairs_name_side_and_images(tmp_path):
    make_pairs(tmp_path)
    for number in range(7):
        save(tmp_path / 'low' / f'only{number}.png')
    save(tmp_path / 'high' / 'z.png')
    with pytest.raises(ValueError, match='Every image needs a partner') as error:
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


@pytest.mark.parametrize('name,folders,names', [
    ('lol', ('our485/low', 'our485/high', 'eval15/low', 'eval15/high'), ('{}', '{}')),
    ('lolv2_real', ('Train/Low', 'Train/Normal', 'Test/Low', 'Test/Normal'), ('low{}', 'normal{}')),
    ('paired_folder', ('train/low', 'train/high', 'test/low', 'test/high'), ('{}', '{}')),
])
def test_paired_configs(tmp_path, name, folders, names):
    """Each data set of configs/_base_/datasets.py, in the loaders of a method."""
    for i, folder in enumerate(folders):
        save(tmp_path / folder / f'{names[i % 2].format("00690")}.png', (300, 280), value=10 + 10 * i)
    config = load_config('drbn_lol')
    for split, shape in (('train', (3, 256, 256)), ('test', (3, 280, 300))):
        dataset = dict(config[f'{split}_dataloader'].dataset, **paired_layouts()[name][split])
        sample = DATASETS.build(dict(dataset, data_root=str(tmp_path)))[0]
        number = 2 * (split == 'test')
        low, high = (tmp_path / folders[number + i] / f'{names[i].format("00690")}.png' for i in (0, 1))
        assert sample['inputs'].shape == sample['data_samples'].gt_img.shape == shape
        assert sample['inputs'].unique().tolist() == [10 + 10 * number]
        assert sample['data_samples'].gt_img.unique().tolist() == [20 + 10 * number]
        assert sample['data_samples'].metainfo['key'] == '00690'
        assert sample['data_samples'].metainfo['img_path'] == str(low)
        assert sample['data_samples'].metainfo['gt_path'] == str(high)


def test_counts_of_the_published_data_sets():
    counts = {name: [layout[split].metainfo.num_images for split in ('train', 'test')]
              for name, layout in paired_layouts().items()}
    assert counts == {'lol': [485, 15], 'lol256': [484, 15], 'lolv2_real': [689, 100], 'paired_folder': [None, None]}


def test_augmentation_moves_both_images_alike(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 128, (40, 50, 3), dtype=np.uint8)
    for folder, factor in (('train/low', 1), ('train/high', 2)):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(image * factor).save(tmp_path / folder / 'a.png')
    config = load_config('demo/drbn_demo', {'train_dataloader.dataset.pipeline.RandomCrop.crop_size': 32}, tmp_path)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    np.random.seed(0)
    crops = [dataset[0] for _ in range(16)]
    assert all((sample['inputs'] * 2 == sample['data_samples'].gt_img).all() for sample in crops)
    assert len({sample['inputs'].numpy().tobytes() for sample in crops}) > 8


def test_excluded_samples(pairs):
    folders = dict(data_root=str(pairs), data_prefix=dict(img='train/low', gt='train/high'))
    dataset = EnhancementDataset(**folders, exclude=['2', '0'])
    assert [dataset.get_data_info(i)['key'] for i in range(len(dataset))] == ['1', '3']
    assert len(EnhancementDataset(**folders, exclude=[2])) == 3
    with pytest.raises(ValueError, match=r"exclude=\['7', '2'\] of .*no image has the key 7\. .*, set "
                                         r"train_dataloader\.dataset\.exclude=\['2'\]$"):
        EnhancementDataset(**folders, exclude=['7', '2'])
    with pytest.raises(ValueError, match=r'set val_dataloader.dataset.exclude=\[\] and test_dataloader.dataset.exclude=\[\]$'):
        EnhancementDataset(**folders, exclude=['7'], test_mode=True)

import random

import pytest
from PIL import Image

from mmskf.apis import load_config
from mmskf.datasets import UnpairedDataset

SIDES = dict(img='dark', gt='bright')


@pytest.fixture
def root(tmp_path):
    """Five dark and two bright images, of different names and sizes."""
    for folder, names, size in (('dark', 'abcde', (8, 6)), ('bright', 'yx', (5, 9))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new('RGB', size).save(tmp_path / folder / f'{name}.png')
    return tmp_path


def names(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert all(info['img_path'].endswith(f'dark/{info["key"]}.png') for info in infos)
    return [(info['key'], info['gt_path'][-5]) for info in infos]


def test_the_smaller_folder_is_repeated(root):
    assert names(UnpairedDataset(str(root), SIDES)) == [('a', 'x'), ('b', 'y'), ('c', 'x'), ('d', 'y'), ('e', 'x')]
    turned = UnpairedDataset(str(root), dict(img='bright', gt='dark'))
    assert [turned.get_data_info(i)['key'] for i in range(5)] == ['x', 'y', 'x', 'y', 'x']


def test_random_partners(root):
    """Another one each time, by the random state; all of them occur."""
    dataset = UnpairedDataset(str(root), SIDES, random_partner=True)
    seen = []
    for seed in (0, 0, 1, 2, 3):
        random.seed(seed)
        seen.append(names(dataset))
    assert seen[0] == seen[1] != seen[2]
    assert {pair for pairs in seen for pair in pairs} == {(dark, bright) for dark in 'abcde' for bright in 'xy'}


def test_excluded_and_counted(root, monkeypatch):
    log = []
    monkeypatch.setattr('mmskf.datasets.enhancement_dataset.print_log', lambda message, **kwargs: log.append(message))
    dataset = UnpairedDataset(str(root), SIDES, exclude=['b', 'x'], metainfo=dict(num_images=5))
    assert names(dataset) == [('a', 'y'), ('c', 'y'), ('d', 'y'), ('e', 'y')]
    assert len(log) == 1 and 'found 4 images, expected 5' in log[0]
    with pytest.raises(ValueError, match='no image has the key z'):
        UnpairedDataset(str(root), SIDES, exclude=['z'])


def test_other_sides(root):
    with pytest.raises(ValueError, match='has the sides img, expected img .* and gt'):
        UnpairedDataset(str(root), dict(img='dark'))


def test_pipeline_of_the_authors(root):
    """Crops of both images, which need not have the same size."""
    dataset = load_config('enlightengan_unpaired').train_dataloader.dataset
    for step in dataset.pipeline:
        if step.type == 'RandomCrop':
            step.crop_size = 5
    sample = UnpairedDataset(str(root), SIDES, pipeline=dataset.pipeline)[1]
    assert sample['inputs'].shape == sample['data_samples'].gt_img.shape == (3, 5, 5)
    assert sample['data_samples'].key == 'b'

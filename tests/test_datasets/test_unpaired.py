import logging

import pytest
from mmengine.logging import MMLogger
from PIL import Image

from mmskf.apis import load_config, use_unpaired
from mmskf.apis.config import first_test_dataloader
from mmskf.datasets import UNPAIRED_SETS, unpaired_tests, without_ground_truth
from mmskf.registry import DATASETS


@pytest.fixture
def root(tmp_path):
    for name in ('VV', 'LIME'):
        (tmp_path / name).mkdir()
        Image.new('RGB', (30, 20), (7, 7, 7)).save(tmp_path / name / 'x.bmp')
    return tmp_path


@pytest.mark.parametrize('method, channels', [('drbn_lol', 3), ('kind_skf_lol', 3), ('llflow_l_skf_lolv2_official', 6)])
def test_a_method_is_tested_as_with_ground_truth(root, method, channels):
    """Its own test pipeline but for the ground truth, so that LLFlow gets its equalized image."""
    cfg = load_config(method, {'test_dataloader.num_workers': 3})
    expected = without_ground_truth(first_test_dataloader(cfg).dataset.pipeline)
    assert len(expected) == len(first_test_dataloader(cfg).dataset.pipeline) - 1
    validation = cfg.val_dataloader
    use_unpaired(cfg, root)
    assert [(loader.dataset.data_prefix.img, loader.num_workers) for loader in cfg.test_dataloader] == [('LIME', 3), ('VV', 3)]
    assert [evaluator.metrics for evaluator in cfg.test_evaluator] == [
        [dict(type='NIQE', prefix='LIME')], [dict(type='NIQE', prefix='VV')]]
    assert cfg.val_dataloader == validation and cfg.test_cfg.type == 'mmagic.MultiTestLoop'
    for loader in cfg.test_dataloader:
        assert loader.dataset.pipeline == expected
        assert loader.dataset.metainfo.num_images == dict(LIME=10, VV=24)[loader.dataset.data_prefix.img]
        sample = DATASETS.build(loader.dataset)[0]
        assert sample['inputs'].shape == (channels, 20, 30) and 'gt_img' not in sample['data_samples']


def test_known_sets():
    assert UNPAIRED_SETS == dict(MEF=17, LIME=10, NPE=85, DICM=64, VV=24)


def test_absent_sets_are_named(root, caplog):
    loader = first_test_dataloader(load_config('drbn_lol'))
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING, logger.name):
        unpaired_tests(loader, root)
    logger.removeHandler(caplog.handler)
    assert 'has no MEF and no NPE and no DICM: tested on LIME, VV only' in caplog.text
    with pytest.raises(FileNotFoundError, match='nowhere has none of the folders MEF, LIME, NPE, DICM, VV'):
        unpaired_tests(loader, root / 'nowhere')

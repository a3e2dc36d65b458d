import pytest

from mmskf.apis import find_config, list_models, load_config
from mmskf.apis.config import datasets


def test_list_models():
    assert {'drbn_lol', 'drbn_lolv2'} <= set(list_models())
    assert list_models('drbn_lol') == ['drbn_lol']
    assert list_models('nothing*') == []


def test_find_config():
    assert find_config('drbn_lol') == find_config('baseline/drbn_lol') == find_config(find_config('drbn_lol'))
    with pytest.raises(FileNotFoundError, match="'drbn_loll'. Did you mean drbn_lol"):
        find_config('drbn_loll')
    with pytest.raises(FileNotFoundError, match='Known models: .*drbn_lol'):
        find_config('xyz')


def test_data_root_reaches_every_data_set():
    cfg = load_config('drbn_lol', data_root='/photos')
    assert [dataset.data_root for dataset in datasets(cfg)] == ['/photos'] * 3
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=cfg.train_dataloader.dataset)
    cfg.test_dataloader = [cfg.test_dataloader, cfg.val_dataloader]
    assert len(list(datasets(cfg))) == 4


@pytest.mark.parametrize('option, close', [
    ('modl.generator.channels', 'model'),
    ('model.generator.chanels', 'channels'),
    ('model.skp', 'skb'),
    ('optim_wrapper.optimizer.lrr', 'lr'),
    ('default_hooks.logger.intervall', 'interval'),
    ('train_dataloader.dataset.data_rot', 'data_root'),
    ('custom_hooks.7.interval', 'no index of a list of'),
    ('train_dataloader.dataset.pipeline.2.crop_sise', 'crop_size'),
])
def test_options_that_do_not_exist(option, close):
    with pytest.raises(KeyError, match=f'{option}.*{close}'):
        load_config('drbn_lol', {option: 1})


@pytest.mark.parametrize('option', ['crop_size', 'data_root', 'train_pipeline.0.key'])
def test_names_that_the_config_file_has_for_itself(option):
    with pytest.raises(KeyError, match=f'{option}: .* only a name inside the config file.*pipeline.2.crop_size; --data-root'):
        load_config('drbn_lol', {option: 1})


@pytest.mark.parametrize('option', [
    'model.generator.channels', 'model.se_input', 'optim_wrapper.optimizer.weight_decay', 'randomness.seed',
    'train_dataloader.dataset.indices', 'auto_scale_lr.enable',
    'train_dataloader.prefetch_factor', 'test_evaluator.metrics', 'work_dir',
    'model.test_cfg.tta'
])
def test_options_that_exist(option):
    cfg = load_config('drbn_lol', {option: 1})
    for name in option.split('.'):
        cfg = cfg[name]
    assert cfg == 1

from argparse import ArgumentParser

import pytest
from mmengine.config import Config

from mmskf.utils.options import add_cfg_options, image_size, item_index, kind_mismatch, merge_options

PIPELINE = [dict(type='LoadImage', key='img'), dict(type='RandomCrop', crop_size=256),
            dict(type='mmagic.Flip', direction='vertical'), dict(type='mmagic.Flip', direction='horizontal'),
            dict(type='mmagic.PackInputs')]


@pytest.mark.parametrize('name, index', [('1', 1), ('RandomCrop', 1), ('PackInputs', 4), ('mmagic.PackInputs', 4)])
def test_an_item_is_named_by_its_index_or_type(name, index):
    assert item_index(PIPELINE, name) == index


def test_a_stage_is_named_by_its_name():
    assert item_index([dict(name='decom', iters=1), dict(name='relight', iters=2)], 'relight') == 1


@pytest.mark.parametrize('name, message', [
    ('5', "'5' is not an index of a list of 5 items"),
    ('Flip', "'Flip' could mean 2 items of the list: name one by its index, 2 or 3"),
    ('RandomCorp', "'RandomCorp' is neither an index of a list of 5 items nor the type of one. Did you mean RandomCrop"),
    ('xyz', 'Did you mean LoadImage or RandomCrop or Flip or PackInputs'),
])
def test_an_item_that_is_not_clear(name, message):
    with pytest.raises(KeyError, match=message):
        item_index(PIPELINE, name)


def test_changes_of_one_config():
    """Dotted fields and nested dicts, indices and types, side by side; the options stay as they are."""
    cfg = Config(dict(loader=dict(size=1, pipeline=PIPELINE), hooks=[dict(type='EMAHook')]))
    options = {'loader.pipeline.1.crop_size': 96, 'loader.pipeline.RandomCrop.keys': ['img'],
               'loader': dict(pipeline=dict(PackInputs=dict(meta_keys=['key']))), 'hooks.EMAHook.momentum': 0.1, 'new.field': 5}
    merge_options(cfg, {name: value for name, value in options.items() if name != 'loader'})
    merge_options(cfg, dict(loader=options['loader']))
    assert cfg.loader.pipeline[1] == dict(type='RandomCrop', crop_size=96, keys=['img'])
    assert cfg.loader.pipeline[4].meta_keys == ['key'] and cfg.loader.size == 1
    assert cfg.hooks == [dict(type='EMAHook', momentum=0.1)] and cfg.new == dict(field=5)
    assert options['loader'] == dict(pipeline=dict(PackInputs=dict(meta_keys=['key'])))
    with pytest.raises(KeyError, match="loader.pipeline: 'Flip' could mean 2"):
        merge_options(cfg, {'loader.pipeline.Flip.direction': 'diagonal'})


def test_items_that_are_no_sets_of_fields():
    """By index as well, in lists and tuples; mmengine itself merges sets of fields only."""
    cfg = Config(dict(groups=[['sky'], ['road']], se=dict(sources=(2, 1, 0)), mixed=[dict(a=1, b=2), 5]))
    merge_options(cfg, {'groups.1': ['road', 'pavement'], 'se.sources.0': 'logits', 'mixed.0.a': 3, 'mixed.1': None})
    assert cfg.groups == [['sky'], ['road', 'pavement']] and cfg.se.sources == ('logits', 1, 0)
    assert cfg.mixed == [dict(a=3, b=2), None]
    with pytest.raises(KeyError, match="se.sources: '3' is not an index of a list of 3 items"):
        merge_options(cfg, {'se.sources.3': 0})


def test_options_of_a_command_line():
    parser = ArgumentParser()
    add_cfg_options(parser)
    assert parser.parse_args([]).cfg_options == {}
    arguments = ['--cfg-options', 'a.b=1', 'c=[1,2]', '--cfg-options', 'd=x=y', 'e=']
    assert parser.parse_args(arguments).cfg_options == {'a.b': 1, 'c': [1, 2], 'd': 'x=y', 'e': ''}
    assert parser.parse_args([]).cfg_options == {}


@pytest.mark.parametrize('option, message', [
    ('lr', "'lr': expected FIELD=VALUE, such as"),
    ('=1', "'=1': expected FIELD=VALUE"),
    ('a..b=1', "'a..b=1': expected FIELD=VALUE"),
    ('a=[1,(2]', "'a=[1,(2]': Imbalanced brackets"),
])
def test_options_that_are_none(option, message, capsys):
    parser = ArgumentParser()
    add_cfg_options(parser)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(['--cfg-options', option])
    assert end.value.code == 2 and f'error: argument --cfg-options: {message}' in capsys.readouterr().err


@pytest.mark.parametrize('value, current, annotation, expected', [
    ('abc', 1, None, 'a number'), ('abc', 0.1, float, 'a number'),
    ('no', False, None, 'True or False'),
    ('SGD', dict(type='Adam'), None, 'a set of fields'),
    (2, 0.1, None, None), (0.5, 1, int, None), (None, 1, None, None), ([1], 1, None, None), (1, False, None, None),
    (True, 4, int, None),
    (10, dict(val=5), None, None), (False, dict(), None, None),
    ('auto', False, bool | str, None), ('x', None, None, None),
    (1, 'x', None, None),
])
def test_values_of_another_kind(value, current, annotation, expected):
    assert kind_mismatch(value, current, annotation) == expected


def test_sizes():
    parser = ArgumentParser()
    parser.add_argument('--size', type=image_size)
    assert parser.parse_args(['--size', '400x600']).size == (400, 600)
    for text in ('400', '400x', '0x600', '4x4x4', '-1x5'):
        with pytest.raises(SystemExit):
            parser.parse_args([f'--size={text}'])

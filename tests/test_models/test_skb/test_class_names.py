from types import SimpleNamespace

import pytest
import torch

from mmskf.models.skb.class_names import class_names


def bank(**fields):
    return SimpleNamespace(**{**dict(name='skb.model', checkpoint=None, num_classes=3), **fields})


@pytest.mark.parametrize('meta', [
    dict(classes=['a', 'b', 'c']), dict(CLASSES=('a', 'b', 'c')), dict(dataset_meta=dict(classes=['a', 'b', 'c']))
])
def test_names_of_a_checkpoint(tmp_path, meta):
    torch.save(dict(state_dict={}, meta=meta), tmp_path / 'bank.pth')
    assert class_names(bank(checkpoint=tmp_path / 'bank.pth')) == ['a', 'b', 'c']
    assert class_names(bank(checkpoint=tmp_path / 'bank.pth', num_classes=2)) == ['class 0', 'class 1']


def test_names_of_a_config_of_mmsegmentation():
    names = class_names(bank(name='mmseg::hrnet/fcn_hr48_4xb4-80k_pascal-context-59-480x480.py', num_classes=59))
    assert names[:3] == ['aeroplane', 'bag', 'bed'] and len(names) == 59
    names = class_names(bank(name='mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py', num_classes=150))
    assert names[:3] == ['wall', 'building', 'sky']


def test_the_small_bank_whose_config_is_of_other_classes():
    names = class_names(bank(name='mmseg::hrnet/fcn_hr18s_4xb4-80k_ade20k-512x512.py', num_classes=11,
                             checkpoint='mmskf://models/skb/weights/hrnet_w18s_camvid_f16.pth'))
    assert names == ['sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian', 'bicyclist']


def test_names_that_nobody_knows():
    assert class_names(bank()) == ['class 0', 'class 1', 'class 2']

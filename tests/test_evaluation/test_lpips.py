import json
import math
import warnings

import lpips
import numpy as np
import pytest
import torch
from tiny import KeepReport, evaluate, loader, report_of_test, runner_for_training, sample, write_pairs

from mmskf.evaluation import LPIPS, NOT_MEASURED, GTMean


@pytest.fixture(scope='module')
def reference():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)


@pytest.fixture
def backbone(reference, tmp_path):
    """The random backbone of the reference, as torchvision would have saved it."""
    path = tmp_path / 'alexnet.pth'
    torch.save({'features.' + key.split('.', 1)[1]: value for key, value in reference.net.state_dict().items()}, path)
    return path


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'checkpoints'


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (64, 80, 3)).astype(np.uint8) for _ in range(2)]


def test_equals_the_lpips_package(reference, backbone, images):
    pred, gt = images
    score = evaluate(LPIPS(backbone_weights=backbone), sample(pred + 0.3, gt))['LPIPS']
    with torch.no_grad():
        expected = reference(lpips.im2tensor(pred), lpips.im2tensor(gt)).item()
    assert score == pytest.approx(expected, rel=1e-5)
    assert expected > 1e-3
    assert evaluate(LPIPS(backbone_weights=backbone), sample(gt, gt))['LPIPS'] == 0


def test_finds_the_weights_in_torchvisions_cache(backbone, empty_cache, images):
    empty_cache.mkdir(parents=True)
    backbone.rename(empty_cache / 'alexnet-owt-7be5be79.pth')
    assert evaluate(LPIPS(required=True), sample(*images))['LPIPS'] > 0


def test_building_it_leaves_the_random_numbers_alone(backbone):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    LPIPS(backbone_weights=backbone)
    assert torch.equal(torch.rand(3), expected)


def test_absent_weights_warn_once_and_are_reported(tmp_path, empty_cache, monkeypatch):
    messages = []
    monkeypatch.setattr('mmskf.evaluation.lpips.print_log', lambda message, **kwargs: messages.append(message))
    folder = write_pairs(tmp_path / 'data')
    report = report_of_test(tmp_path / 'work', loader(folder), [dict(type='PSNR'), dict(type='LPIPS')])
    assert math.isnan(report['LPIPS']) and report['PSNR'] > 40
    assert len(messages) == 1 and str(empty_cache / 'alexnet-owt-7be5be79.pth') in messages[0]


def test_a_training_with_validation_goes_on_without_the_weights(tmp_path, empty_cache):
    folder = write_pairs(tmp_path / 'data')
    runner = runner_for_training(
        tmp_path / 'work', folder, log_level='INFO', log_processor=dict(type='LogProcessor', by_epoch=False),
        val_cfg=dict(type='mmagic.MultiValLoop'), val_dataloader=loader(folder),
        val_evaluator=dict(type='Evaluator', metrics=[dict(type='GTMean', mode='gray', metrics=[
            dict(type='PSNR'), dict(type='LPIPS')])]),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]))
    keep = KeepReport()
    runner.register_hook(keep)
    runner.train()
    report = keep.metrics
    assert math.isnan(report['LPIPS']) and math.isnan(report['LPIPS (gray GT-mean)'])
    assert f'LPIPS: {NOT_MEASURED}' in next((tmp_path / 'work').glob('*/*.log')).read_text()
    record = json.loads(next((tmp_path / 'work').glob('*/vis_data/scalars.json')).read_text().splitlines()[-1])
    assert math.isnan(record['LPIPS']) and record['note'] == f'{NOT_MEASURED}: LPIPS, LPIPS (gray GT-mean)'


def test_required_weights_that_are_absent_stop_the_start(empty_cache):
    with pytest.raises(FileNotFoundError, match='alexnet-owt-7be5be79.pth.*torchvision'):
        LPIPS(required=True)
    with pytest.raises(FileNotFoundError, match='elsewhere/alexnet.pth'):
        LPIPS(backbone_weights='elsewhere/alexnet.pth', required=True)


def test_a_damaged_file_is_named(tmp_path, backbone):
    for name, content in (('text.pth', b'not a checkpoint'), ('cut.pth', backbone.read_bytes()[:1000])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f'{name} is not a state dict of torchvision'):
            LPIPS(backbone_weights=tmp_path / name)
    torch.save({'conv.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth is not a state dict'):
        LPIPS(backbone_weights=tmp_path / 'other.pth')


def test_gt_mean_of_lpips(backbone, images):
    _, gt = images
    report = evaluate(GTMean([LPIPS(backbone_weights=backbone)], mode='gray'), sample(gt * 0.5, gt))
    assert report['LPIPS (gray GT-mean)'] < report['LPIPS']

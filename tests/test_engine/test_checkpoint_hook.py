import csv
import json
import math

import pytest
import torch
from mmengine import fileio
from tiny import loader, runner_for_training, write_pairs

from mmskf.evaluation import ImageMetric
from mmskf.registry import METRICS


@METRICS.register_module()
class Scripted(ImageMetric):
    """Scores that a test has listed: one a validation, None for what cannot be measured."""
    metric = 'Scripted'
    scripts = {}

    def __init__(self, name, **kwargs):
        super().__init__(**kwargs)
        self.metric = name

    def process(self, data_batch, data_samples):
        self.results.append(dict(path='a', scores={self.metric: self.scripts[self.metric].pop(0)}))


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / 'data', names=['1.png'])


@pytest.fixture
def train(tmp_path, pairs):
    """Validates after every iteration, with the scores that are given by name."""

    def run(checkpoint=None, hooks=(), iterations=4, work_dir='work', **scripts):
        Scripted.scripts = {name: list(values) for name, values in scripts.items()}
        config = {}
        if scripts:
            config = dict(
                val_cfg=dict(type='mmagic.MultiValLoop'), val_dataloader=loader(pairs),
                val_evaluator=[dict(type='Scripted', name=name) for name in scripts])
        checkpoint = {'interval': 1, **(checkpoint or {})}
        runner = runner_for_training(tmp_path / work_dir, pairs, hooks, iterations, checkpoint=checkpoint, **config)
        if scripts:
            runner._train_loop['val_interval'] = 1
        return runner

    return run


def files(work_dir):
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.mark.parametrize('kept', [1, 2])
def test_old_checkpoints_go_when_the_new_one_stands(tmp_path, train, monkeypatch, kept):
    """The third is not written: what there was before it is there, and ``last_checkpoint`` names it."""
    put = fileio.get_file_backend('x').put

    def fail_at_third(self, content, path):
        if path.endswith('iter_3.pth'):
            raise OSError(28, 'No space left on device', path)
        put(content, path)

    monkeypatch.setattr(type(fileio.get_file_backend('x')), 'put', fail_at_third)
    with pytest.raises(OSError, match='No space left on device.*iter_3.pth'):
        train(dict(max_keep_ckpts=kept)).train()
    assert files(tmp_path / 'work') == ['iter_1.pth', 'iter_2.pth'][-kept:]
    assert (tmp_path / 'work' / 'last_checkpoint').read_text() == str(tmp_path / 'work' / 'iter_2.pth')


def test_max_keep_ckpts(tmp_path, train):
    train(dict(max_keep_ckpts=2)).train()
    assert files(tmp_path / 'work') == ['iter_3.pth', 'iter_4.pth']
    hub = torch.load(tmp_path / 'work' / 'iter_4.pth')['message_hub']
    assert hub['runtime_info']['keep_ckpt_ids'] == [3, 4]


@pytest.mark.parametrize('save_best, scripts, best', [
    ('PSNR', dict(PSNR=[1., 3., 2., 0.]), ['best_PSNR_iter_2']),
    ('auto', dict(PSNR=[1., 3., 2., 0.]), ['best_PSNR_iter_2']),
    ('LPIPS', dict(LPIPS=[3., 2., 1., 4.]), ['best_LPIPS_iter_3']),
    ('auto', dict(LPIPS=[None] * 4, SSIM=[1., 2., 3., 0.]), ['best_SSIM_iter_3']),
    ('auto', dict(LPIPS=[None] * 4), []),
    ('PSNR', dict(PSNR=[1., None, 5., None]), ['best_PSNR_iter_3']),
    (['SSIM', 'NIQE'], dict(SSIM=[1., 3., 2., 0.], NIQE=[1., 3., 2., 0.]), ['best_NIQE_iter_4', 'best_SSIM_iter_2']),
    ('PSNR (gray GT-mean)', {'PSNR (gray GT-mean)': [1., 3., 2., 0.]}, ['best_PSNR (gray GT-mean)_iter_2']),
])
def test_save_best(tmp_path, train, save_best, scripts, best):
    train(dict(save_best=save_best, max_keep_ckpts=1), **scripts).train()
    assert files(tmp_path / 'work') == [f'{name}.pth' for name in best] + ['iter_4.pth']


def test_the_best_stays_until_a_better_one_stands(tmp_path, train, monkeypatch):
    put = fileio.get_file_backend('x').put

    def fail_at_second_best(self, content, path):
        if 'best' in path and path.endswith('iter_2.pth'):
            raise OSError(28, 'No space left on device', path)
        put(content, path)

    monkeypatch.setattr(type(fileio.get_file_backend('x')), 'put', fail_at_second_best)
    with pytest.raises(OSError, match='iter_2.pth'):
        train(dict(save_best='PSNR'), PSNR=[1., 2., 3., 4.]).train()
    assert 'best_PSNR_iter_1.pth' in files(tmp_path / 'work')


def test_a_score_that_does_not_exist_is_named(train):
    with pytest.raises(KeyError, match="no score 'psnr', only 'PSNR', 'SSIM'"):
        train(dict(save_best='psnr'), PSNR=[1.] * 4, SSIM=[1.] * 4).train()


def test_early_stopping(tmp_path, train):
    """Two validations without progress; what could not be measured does not count; the end is saved."""
    hook = dict(type='EarlyStoppingHook', monitor='PSNR', patience=2, min_delta=0)
    runner = train(dict(interval=100), [hook], 8, PSNR=[5., 6., None, 4., 3., 7., 8., 9.])
    runner.train()
    assert runner.iter == 5 and files(tmp_path / 'work') == ['iter_5.pth']
    resumed = train(None, [hook], 8, PSNR=[])
    resumed._resume = True
    resumed.train()
    assert resumed.iter == 5  # it had stopped for good


def test_early_stopping_goes_on_where_it_was(tmp_path, train):
    """From iteration 3, after one validation without progress: the next one stops it. The validation of iteration 3, which was
    not over when the checkpoint was written, comes first."""
    hook = dict(type='EarlyStoppingHook', monitor='LPIPS', patience=3, min_delta=0)
    train(None, [hook], 3, LPIPS=[5., 6., 7.]).train()
    resumed = train(None, [hook], 8, 'resumed', LPIPS=[7., 8., 9., 1., 1., 1.])
    resumed._resume, resumed._load_from = True, str(tmp_path / 'work' / 'iter_3.pth')
    resumed.train()
    assert resumed.iter == 4


@pytest.mark.parametrize('monitor, scores, expected', [
    ('PSNR', [1., 2., 2., 2.], 1e-4), ('PSNR', [1., 2., 3., 4.], 1e-3), ('LPIPS', [1., 2., 3., 4.], 1e-4),
    ('LPIPS', [None] * 4, 1e-3)])
def test_reduce_on_plateau(tmp_path, train, monitor, scores, expected):
    """Of a learning rate of 1e-3, after more than one validation without progress, a tenth is left."""
    runner = train(**{monitor: scores})
    runner.param_schedulers = dict(type='ReduceOnPlateauLR', monitor=monitor, patience=1, cooldown=9)
    runner.train()
    assert runner.optim_wrapper.get_lr()['lr'][0] == pytest.approx(expected)
    state = torch.load(tmp_path / 'work' / 'iter_4.pth')['param_schedulers'][0]
    assert state['rule'] == ('greater' if monitor == 'PSNR' else 'less')


def test_reduce_on_plateau_of_a_score_that_does_not_exist(train):
    runner = train(SSIM=[1.] * 4)
    runner.param_schedulers = dict(type='ReduceOnPlateauLR', monitor='loss')
    with pytest.raises(KeyError, match="no score 'loss', only 'SSIM'"):
        runner.train()


def test_not_measured_is_nan_for_machines_and_words_for_people(tmp_path, train):
    table = tmp_path / 'scores.csv'
    runner = train(None, [dict(type='PerImageScoresHook', out_file=str(table), val=True)], 1, LPIPS=[None], PSNR=[1.5])
    runner.train()
    rows = list(csv.reader((tmp_path / 'scores_iter_1.csv').read_text().splitlines()))
    assert rows == [['image', 'LPIPS', 'PSNR'], ['a', 'not measured', '1.500000'], ['mean', 'not measured', '1.500000']]
    record = json.loads(next((tmp_path / 'work').glob('*/vis_data/scalars.json')).read_text().splitlines()[-1])
    assert math.isnan(record['LPIPS']) and record['PSNR'] == 1.5

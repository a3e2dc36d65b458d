"""Table 3 for DRBN in miniature: six rows of two iterations on pictures of a few pixels, and what goes wrong with them."""
import csv
import json
import re
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image

from mmskf.apis import find_config
from mmskf.engine.loops import stage_dataloader
from mmskf.models import SKFEditor

LOADERS = [f'{split}_dataloader.num_workers=0' for split in ('train', 'test')]
ROWS = ['drbn_lol', 'drbn_sch', 'drbn_sa', 'drbn_se', 'drbn_sch_se', 'drbn_skf_lol']


@pytest.fixture(scope='module')
def module(tool):
    return tool('tools/analysis_tools/run_ablation')


@pytest.fixture(scope='module')
def run(module, pairs, tmp_path_factory):
    """Runs Table 3 for DRBN; every call in the folder of the first, unless it names another."""
    bank = tmp_path_factory.mktemp('bank') / 'bank.py'
    bank.write_text('from tiny_segmentor import SEGMENTOR\n'
                    "skb = dict(type='SemanticKnowledgeBank', model=SEGMENTOR)\n")
    folder = tmp_path_factory.mktemp('table')

    def start(*options, iters=2, work_dir=folder):
        return module.main([
            '3', '--methods', 'drbn', '--data-root', str(pairs), '--layout', 'paired_folder', '--iters', str(iters),
            '--batch-size', '2', '--crop', '32', '--skb', str(bank), '--work-dir', str(work_dir), '--cfg-options', *LOADERS,
            'model.generator.channels=4', 'model.generator.growth=2', 'model.sa_loss.patch_size=32', *options]), work_dir

    return start


@pytest.fixture(scope='module')
def table(run):
    """The folder of a table whose fourth row failed at first, and what had been run again after that."""
    generate, trained = SKFEditor.generate, []

    def spoiled(self, inputs, prior, gt=None):
        trained.append(prior is not None)
        if prior is not None and self.sch_loss is None:
            raise RuntimeError('out of memory\nsecond line')
        return generate(self, inputs, prior, gt)

    with pytest.MonkeyPatch.context() as patch, pytest.warns(UserWarning, match='semantics are random'):
        patch.setattr(SKFEditor, 'generate', spoiled)
        failed, folder = run()
        broken = (folder / 'table.md').read_text()
        patch.setattr(SKFEditor, 'generate', lambda self, *args: trained.append(self.sch_loss) or generate(self, *args))
        trained.clear()
        repaired, _ = run()
    return folder, (failed, repaired), broken, trained


def test_one_failed_row_does_not_lose_the_others_and_alone_is_run_again(table):
    _, failures, broken, trained = table
    assert failures == (1, 0)
    lines = [line for line in broken.splitlines() if line.startswith('| drbn')]
    assert ['failed: out of memory' in line for line in lines] == [False, False, False, True, False, False]
    assert len(trained) == 2 + 2 and set(trained) == {None}  # two iterations and two test images, of the row without SCH


def test_the_table(table):
    folder, *_ = table
    with open(folder / 'table.csv') as file:
        rows = list(csv.DictReader(file))
    assert [row['row'] for row in rows] == ROWS and {row['seeds'] for row in rows} == {'0'}
    assert [[row[part] for part in ('SCH', 'SA', 'SE')] for row in rows] == [
        ['', '', ''], ['✓', '', ''], ['', '✓', ''], ['', '', '✓'], ['✓', '', '✓'], ['✓', '✓', '✓']]
    assert [row['paper: PSNR'] for row in rows] == ['19.860', '20.040', '20.070', '21.334', '22.550', '22.837']
    sizes = [int(row['parameters']) for row in rows]
    assert sizes[0] == sizes[1] == sizes[2] < sizes[3] == sizes[4] == sizes[5]
    for row, name in zip(rows, ROWS):
        with open(folder / name / 'seed_0' / 'scores.csv') as file:
            *images, mean = csv.DictReader(file)
        assert row['PSNR'] == str(float(mean['PSNR'])) and row['PSNR (std over seeds)'] == ''
        assert float(row['PSNR (std over images)']) == pytest.approx(np.std([float(image['PSNR']) for image in images]))
        assert row['LPIPS'] == ('' if mean['LPIPS'] == 'not measured' else str(float(mean['LPIPS'])))
    checkpoints = [CheckpointLoader.load_checkpoint(str(folder / name / 'seed_0' / 'iter_2.pth'), map_location='cpu')
                   for name in ROWS]
    key = 'generator.recurrences.0.shallow1.weight'
    assert len({checkpoint['state_dict'][key].sum().item() for checkpoint in checkpoints}) == len(ROWS)
    text = (folder / 'table.md').read_text()
    assert text.startswith('Table 3') and text.count('\n|') == 8 and '2 iterations, seed 0' in text
    assert Image.open(folder / 'table.png').size[0] > 500


def test_every_row_has_the_same_budget(table):
    folder, *_ = table
    for name in ROWS:
        meta = CheckpointLoader.load_checkpoint(str(folder / name / 'seed_0' / 'iter_2.pth'), map_location='cpu')['meta']
        cfg = Config.fromstring(meta['cfg'], '.py')
        assert (meta['iter'], cfg.train_dataloader.batch_size, cfg.randomness.seed) == (2, 2, 0)
        assert cfg.train_dataloader.dataset.pipeline[2].crop_size == 32
        assert cfg.param_scheduler[0].milestones == [1]  # after two thirds, as in the full training


def test_another_budget_needs_another_folder(table, run):
    folder, *_ = table
    with pytest.raises(ValueError, match='iters was 2 and is 3.*give another --work-dir'):
        run(iters=3)
    assert json.loads((folder / 'budget.json').read_text())['iters'] == 2


def test_an_interrupted_row_goes_on(run, table, tmp_path, monkeypatch):
    """Left after the training and before the test, the row is not trained again."""
    folder, *_ = table
    for name in ROWS:
        (tmp_path / name / 'seed_0').mkdir(parents=True)
        shutil.copy(folder / name / 'seed_0' / 'scores.csv', tmp_path / name / 'seed_0')
    (tmp_path / 'drbn_se' / 'seed_0' / 'scores.csv').unlink()
    (tmp_path / 'drbn_se' / 'seed_0' / 'last_checkpoint').write_text(str(folder / 'drbn_se' / 'seed_0' / 'iter_2.pth'))
    steps = []
    monkeypatch.setattr(SKFEditor, 'train_step', lambda *args: steps.append(args))
    with pytest.warns(UserWarning, match='semantics are random'):
        failed, _ = run(work_dir=tmp_path)
    assert failed == 0 and not steps
    assert (tmp_path / 'table.csv').read_text() == (folder / 'table.csv').read_text()


def test_rows_and_options_that_do_not_exist(run, module, tmp_path):
    with pytest.raises(ValueError, match='--methods snr: this table has kindpp, drbn, hwmnet'):
        module.main(['3', '--methods', 'snr'])
    with pytest.raises(ValueError, match='--rows drbn_es: this table has drbn_lol, drbn_sch'):
        module.main(['3', '--methods', 'drbn', '--rows', 'drbn_es'])
    with pytest.raises(KeyError, match='optim_wrapper.optimiser.lr: no row of this table'):
        run('optim_wrapper.optimiser.lr=1', work_dir=tmp_path)
    with pytest.raises(KeyError, match='model.generator.chanels.*Did you mean channels'):
        run('model.generator.chanels=4', work_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('number', ['3', '4', '5'])
def test_the_budget_reaches_every_row(module, number):
    """Also those that are trained in stages, and those whose stages have crops of their own."""
    args = module.parse_args([number, '--iters', '60', '--batch-size', '2', '--crop', '32', '--layout', 'lolv2_real'])
    marks = []
    for row in module.choose_rows(module.tables()[number]):
        cfg = module.row_config(row, args)
        stages = cfg.train_cfg.get('stages', [])
        assert (sum(stage.iters for stage in stages) if stages else cfg.train_cfg.max_iters) == 60
        assert all(max(scheduler.get('milestones', [0])) < 60 for scheduler in cfg.param_scheduler)
        assert all(scheduler.get('end', 60) <= 60 for scheduler in cfg.param_scheduler)
        if cfg.model.generator.type == 'HWMNet':
            assert cfg.param_scheduler[-1].end == 60 and not cfg.param_scheduler[-1].by_epoch
        loader = cfg.train_dataloader
        assert loader.batch_size == 2 and loader.dataset.data_prefix.gt == 'Train/Normal' and loader.dataset.filename_tmpl
        assert cfg.test_dataloader.dataset.data_root == 'data/LOL-v2/Real_captured' and cfg.val_cfg is None
        sizes = re.findall(r'crop_size=(\d+)', Config(dict(loader=loader, stages=stages)).pretty_text)
        assert sizes and set(sizes) == {'32'}
        marks.append(tuple(module.parts_of(cfg.model).values()))
    expected = {
        '3': 3 * [('', '', ''), ('✓', '', ''), ('', '✓', ''), ('', '', '✓'), ('✓', '', '✓'), ('✓', '✓', '✓')],
        '4': [('', '', ''), *((sch, sa, '✓') for sch in ('w/o S', '✓') for sa in ('', 'w/o S', '✓'))],
        '5': [('', '', ''), ('', '', ''), ('✓', '✓', '✓'), *2 * [('', '', ''), ('', '', ''), ('✓', '', '✓')]]}
    assert marks == expected[number]


@pytest.mark.parametrize('number', ['3', '4', '5'])
def test_rows_of_one_method_differ_in_skf_alone(module, number):
    """Each stage has the same iterations, batch size and crop; else the table would compare these.

    LLFlow-L-SKF was released with fewer iterations than LLFlow-L, which a note in the table says.
    """
    args = module.parse_args([number])
    for rows in module.tables()[number]['rows'].values():
        budgets = []
        for row in rows:
            cfg = module.row_config(row, args)
            stages = cfg.train_cfg.get('stages') or [dict(iters=cfg.train_cfg.max_iters)]
            loaders = [stage_dataloader(cfg.train_dataloader, stage) for stage in stages]
            crops = [[step.crop_size for step in loader.dataset.pipeline if 'crop_size' in step] for loader in loaders]
            assert all(len(crop) == 1 for crop in crops)
            as_released = row['config'] == 'skf/llflow_l_skf_lol' and cfg.train_cfg.max_iters == 30000
            iters = [40000] if as_released else [stage['iters'] for stage in stages]
            budgets.append(list(zip(iters, (loader.batch_size for loader in loaders), crops)))
        assert all(budget == budgets[0] for budget in budgets), list(zip((row['config'] for row in rows), budgets))


def test_a_training_in_stages_is_as_long_as_asked_for(module):
    """The last stage makes up for what rounding takes; a stage that is skipped stays so."""
    cfg = Config(dict(train_cfg=dict(stages=[dict(iters=iters) for iters in (100, 0, 100, 98, 0)]), param_scheduler=[]))
    module.shrink(cfg, 5)
    assert [stage.iters for stage in cfg.train_cfg.stages] == [2, 0, 2, 1, 0]


def test_scores_of_several_seeds(module):
    runs = [{'PSNR (exposure from the ground truth)': ['18', '22', '20'], 'SSIM': ['0.5', '0.7', '0.6'],
             'SSIM (gray GT-mean)': ['0.7', '0.7', '0.7'], 'LPIPS': ['not measured'] * 3},
            {'PSNR (exposure from the ground truth)': ['20', '26', '23'], 'SSIM': ['0.5', '0.7', '0.6'],
             'SSIM (gray GT-mean)': ['0.7', '0.7', '0.7'], 'LPIPS': ['not measured'] * 3}]
    psnr = module.measured_score(runs, 'PSNR')
    assert (psnr['mean'], psnr['images_std'], psnr['seeds_std']) == (21.5, 2.5, pytest.approx(3 / 2**0.5))
    assert [module.describe_score(**module.measured_score(runs, score)) for score in module.SCORES] == [
        '21.500 ± 2.121 (exposure from the ground truth)', '0.600 ± 0.000', 'not measured', 'not measured']
    assert module.describe_score(**module.measured_score(runs[:1], 'PSNR')) == '20.000 (exposure from the ground truth)'
    assert module.measured_score(runs[:1], 'SSIM (gray GT-mean)')['mean'] == 0.7
    assert not module.measured_score(runs, 'PSNR (gray GT-mean)')


def test_controls(module):
    """A bank with random weights keeps them where another bank is named; GT-mean is measured beside the plain scores."""
    args = module.parse_args(['priors', '--skb', 'skb/hrnet_w18s_camvid', '--gt-mean', 'gray', '--layout', 'lol256'])
    rows = {module.name_of(row): row for row in module.choose_rows(module.tables()['priors'])}
    trained, random, ideal = (module.row_config(rows[name], args) for name in (
        'drbn_skf_lol', 'drbn_skf_random_bank', 'drbn_skf_gt_prior'))
    assert trained.model.skb.checkpoint and random.model.skb == dict(trained.model.skb, checkpoint=None)
    assert (trained.model.get('se_input'), ideal.model.se_input, ideal.model.loss_input) == (None, 'gt', 'gt')
    assert trained.train_dataloader.dataset.exclude == ['648']
    gt_mean, *others = trained.test_evaluator.metrics
    assert [metric.type for metric in gt_mean.metrics] == ['PSNR', 'SSIM'] and gt_mean.mode == 'gray'
    assert [metric.type for metric in others] == ['LPIPS', 'NIQE']
    assert random.model.skb == module.row_config(rows['llflow_s_skf_random_bank'], args).model.skb


def test_the_paper_s_tables(module):
    """Facts of the paper's text: average gains of its Section 4.4, in dB and NIQE."""
    tables = module.tables()
    gain = {}
    for rows in tables['3']['rows'].values():
        for row in rows:
            gain.setdefault(row['config'].split('_', 1)[1], []).append(row['PSNR'] - rows[0]['PSNR'])
    means = {name: sum(values) / 3 for name, values in gain.items()}
    assert means['sch'] == pytest.approx(0.243, abs=1e-3) and means['se'] == pytest.approx(0.841, abs=1e-3)
    assert means['sch_se'] == pytest.approx(1.741, abs=1e-3)
    _, *rows = tables['4']['rows']['hwmnet']
    without, with_semantics = ([row['PSNR'] for row in part] for part in (rows[:3], rows[3:]))
    assert sum(with_semantics) / 3 - sum(without) / 3 == pytest.approx(0.512, abs=1e-3)
    assert sum(rows[i]['NIQE'] - rows[i + 2]['NIQE'] for i in (0, 3)) / 2 == pytest.approx(0.411, abs=1e-3)
    gains = [rows[2]['PSNR'] - rows[1]['PSNR'] for rows in tables['5']['rows'].values()]
    assert sum(gains) / 3 == pytest.approx(1.307, abs=1e-3)  # the text has 1.272, which these rows do not give
    assert all(find_config(row['config']) for number in tables for row in module.choose_rows(tables[number]))

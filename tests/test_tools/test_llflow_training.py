"""LLFlow in miniature, trained by the command-line tools."""
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image
from processes import train_by_two, use_cpu
from tiny_llflow import GENERATOR
from tiny_segmentor import SEGMENTOR

from mmskf.apis import init_model, load_config
from mmskf.datasets import AppendEqualized
from mmskf.evaluation.gt_mean import gt_mean_llflow

ROOT = Path(__file__).resolve().parents[2]
CONFIG = f"""
_base_ = '{ROOT}/configs/_base_/methods/llflow.py'
model = dict(
    generator=dict({GENERATOR}, se=dict(_base_.skf.generator.se, heads=1)), sch_loss=_base_.skf.sch_loss,
    skb=dict(type='SemanticKnowledgeBank', model={SEGMENTOR}), train_gt_ratio=0.5)
train_dataloader = dict(num_workers=0, dataset=dict(
    _base_.paired_folder.train,
    # The same crop whichever process makes it.
    pipeline=[*_base_.train_pipeline[:3],
              dict(type='mmagic.FixedCrop', keys=['img', 'gt'], crop_size=(40, 40), crop_pos=(0, 0)),
              _base_.train_pipeline[-1]]))
val_dataloader = dict(num_workers=0, dataset=_base_.paired_folder.test)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=4))
custom_imports = dict(imports=['loss_log'])
custom_hooks = _base_.custom_hooks + [dict(type='LossLog')]
"""
SAVING = ['model.generator.reversible=True', 'model.generator.with_cp=True']
HOOK = """
import os, pathlib
from mmengine.hooks import Hook
from mmskf.registry import HOOKS
@HOOKS.register_module(force=True)
class LossLog(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with (pathlib.Path(runner.work_dir) / f"losses{os.environ.get('RANK', '')}").open('a') as file:
            file.write(f"{outputs['loss_recon'].item()} {outputs['loss_SCH'].item()}\\n")
"""


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('config')
    (folder / 'config.py').write_text(CONFIG)
    (folder / 'loss_log.py').write_text(HOOK)
    return folder / 'config.py'


def losses(path):
    return [[float(value) for value in line.split()] for line in path.read_text().splitlines()]


@pytest.fixture(scope='module')
def one_process(config, pairs, tool, tmp_path_factory):
    """The work dir of a training by one process."""
    folder = tmp_path_factory.mktemp('one')
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(config.parent)
        use_cpu(patch)
        tool('tools/train').main([str(config), '--data-root', str(pairs), '--work-dir', str(folder)])
    return folder


@pytest.mark.parametrize('options', [[], SAVING], ids=['', 'saving memory'])
def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(config, pairs, one_process, tmp_path, options):
    """Through the tools: ActNorm's first statistics are those of all processes, and so is the draw of the mean."""
    train_by_two(config, pairs, tmp_path / 'two', '--cfg-options', 'train_dataloader.batch_size=2', *options,
                 folders=[config.parent])
    one, first, second = (losses(path) for path in (one_process / 'losses', *(tmp_path / f'two/losses{i}' for i in (0, 1))))
    assert len(one) == 4 and first != second
    for expected, *halves in zip(one, first, second):
        assert [sum(pair) / 2 for pair in zip(*halves)] == pytest.approx(expected, rel=1e-4)
    weights = [CheckpointLoader.load_checkpoint(f'{folder}/iter_4.pth')['state_dict']
               for folder in (one_process, tmp_path / 'two')]
    bias = 'generator.flow.levels.2.2.coupling.net.0.actnorm.bias'
    assert weights[0][bias].abs().max() > 0.01
    assert (weights[0][bias] - weights[1][bias]).abs().max() < 1e-4


@pytest.mark.parametrize('options', [[], SAVING], ids=['', 'saving memory'])
def test_average_clipping_and_half_precision(config, pairs, tool, tmp_path, monkeypatch, options):
    """The average takes ActNorm's first statistics over, and is what a validation decodes with."""
    monkeypatch.syspath_prepend(config.parent)
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{config}']\noptim_wrapper = dict(clip_grad=dict(max_norm=0.1))\n"
        "custom_hooks = _base_.custom_hooks + [dict(type='EMAHook', momentum=0.1)]\n")
    tool('tools/train').main([str(tmp_path / 'config.py'), '--data-root', str(pairs), '--work-dir', str(tmp_path), '--amp',
                               *(['--cfg-options', *options] if options else [])])
    scalars = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert 'PSNR' in scalars[-1] and len(losses(tmp_path / 'losses')) == 4
    checkpoint = CheckpointLoader.load_checkpoint(f'{tmp_path}/iter_4.pth')
    assert not [key for key in checkpoint['ema_state_dict'] if 'skb' in key]
    for key, value in checkpoint['state_dict'].items():
        assert value.isfinite().all(), key
    key = 'generator.flow.levels.0.2.actnorm.bias'
    weight, average = checkpoint['state_dict'][key], checkpoint['ema_state_dict'][f'module.{key}']
    assert average.any() and 0 < (average - weight).abs().max() < 0.01


def test_testing_with_the_brightness_of_the_ground_truth(config, pairs, tool, tmp_path, monkeypatch):
    """The correction sees the output as it is, beyond 0 and 1; the plain scores are those of the saved picture."""
    monkeypatch.syspath_prepend(config.parent)
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{config}']\nmodel = dict(generator=dict(se=None), skb=None, sch_loss=None)\n"
        "test_evaluator = dict(metrics=[\n"
        "    dict(type='GTMean', mode='llflow', pred_key='unclamped_img', metrics=[dict(type='PSNR')])])\n"
        "custom_hooks = _base_.custom_hooks[:2] + [dict(type='mmagic.BasicVisualizationHook', interval=1)]\n")
    torch.manual_seed(5)
    model = init_model(load_config(tmp_path / 'config.py'))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'tiny.pth')
    tool('tools/test').main([
        str(tmp_path / 'config.py'), str(tmp_path / 'tiny.pth'), '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work'),
        '--out', str(tmp_path / 'scores.csv'), '--show-dir', str(tmp_path / 'show')])
    names, first = list(csv.reader((tmp_path / 'scores.csv').open()))[:2]
    assert names[1:3] == ['PSNR', 'PSNR (llflow GT-mean)']
    low, high = (np.asarray(Image.open(pairs / 'test' / side / '0.png')) for side in ('low', 'high'))
    inputs = torch.from_numpy(AppendEqualized()(dict(img=low))['img'].transpose(2, 0, 1)[None] / np.float32(255))
    with torch.no_grad():
        image = model(inputs)[0].permute(1, 2, 0).numpy() * 255
    assert image.min() < -50 and image.max() > 300 and image.mean() > 10
    saved = np.asarray(Image.open(tmp_path / 'show' / '0.png')).astype(float)
    assert np.abs(saved - image.clip(0, 255)).max() < 0.51
    for score, picture in zip(first[1:], (saved, gt_mean_llflow(image, high.astype(np.float32)).astype(float))):
        assert float(score) == pytest.approx(10 * np.log10(255**2 / ((high - picture)**2).mean()), abs=1e-3)
    shown = np.asarray(Image.open(next(tmp_path.glob('work/*/vis_data/vis_image/0_*.png'))))
    assert np.array_equal(shown[:, :54], low) and np.array_equal(shown[:, 108:], high)


def test_tools_that_look_at_inputs(config, pairs, tool, tmp_path, capsys, monkeypatch):
    """Behind the three channels of the image stand those of the equalised one."""
    monkeypatch.syspath_prepend(config.parent)
    tool('tools/analysis_tools/browse_dataset').main([
        str(config), '--data-root', str(pairs), '--samples', '2', '--height', '40', '--columns', '1', '--out',
        str(tmp_path / 'sheet.png')])
    sheet = np.asarray(Image.open(tmp_path / 'sheet.png')).astype(float)
    assert sheet.shape == (80, 120, 3)
    assert 0 < sheet[:40, :40].mean() < 0.3 * sheet[:40, 60:100].mean()  # low light, and its ground truth
    tool('tools/analysis_tools/get_flops').main([str(config), '--size', '16x24'])
    assert 'SE modules' in capsys.readouterr().out

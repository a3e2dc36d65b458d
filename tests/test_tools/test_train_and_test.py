import csv
import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from config_texts import SEGMENTOR
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import CheckpointLoader
from PIL import Image
from processes import train_by_two
from tiny import evaluate

from mmskf.apis import init_model, load_config
from mmskf.datasets.transforms import LoadImage
from mmskf.evaluation import NIQE

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/demo/drbn_demo.py'
# Small enough for a test; without worker processes.
SMALL = [
    'model.generator.channels=4', 'model.generator.growth=2', 'train_dataloader.dataset.pipeline.RandomCrop.crop_size=32',
    'train_dataloader.batch_size=2', *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test'))
]

SKF = f"""{SEGMENTOR}
model = dict(
    generator=dict(se=dict(type='SEModule', sources=(1, 0, 'logits'))),
    skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR),
    sch_loss=dict(type='SCHLoss'),
    sa_loss=dict(type='SALoss', patch_size=32, min_pixels=16, edge_width=1),
    discriminator=dict(type='SADiscriminator'))
optim_wrapper = dict(
    _delete_=True,
    constructor='mmagic.MultiOptimWrapperConstructor',
    generator=_base_.optim_wrapper,
    discriminator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)))
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
"""


def weights_of(work_dir, iteration):
    return CheckpointLoader.load_checkpoint(f'{work_dir}/iter_{iteration}.pth', map_location='cpu')


@pytest.fixture(scope='module')
def train(tool, pairs):

    def run(work_dir, iterations, *args, options=(), config=ROOT / CONFIG):
        tool('tools/train').main([
            str(config), '--data-root', str(pairs), '--work-dir', str(work_dir), *args, '--cfg-options', *SMALL,
            f'train_cfg.max_iters={iterations}', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2',
            'default_hooks.logger.interval=1', *options
        ])
        return work_dir

    return run


@pytest.fixture(scope='module')
def trained(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp('trained'), 4)


def test_training_leaves_checkpoints_pictures_and_logs(trained):
    checkpoint = weights_of(trained, 4)
    assert checkpoint['meta']['iter'] == 4
    assert (trained / 'last_checkpoint').read_text().endswith('iter_4.pth')
    pictures = sorted(trained.glob('*/vis_data/vis_image/*.png'))
    assert {picture.name.split('_')[0] for picture in pictures} == {'0', '1'}
    assert np.asarray(Image.open(pictures[0])).shape == (42, 3 * 54, 3)  # input, output, ground truth
    scalars = [json.loads(line) for line in next(trained.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    for key, steps in dict(loss_recon=[1, 2, 3, 4], PSNR=[2, 4]).items():
        assert [line['step'] for line in scalars if key in line] == steps


def test_a_resumed_training_equals_an_uninterrupted_one(trained, train, tmp_path):
    """The state that a run had left when it was interrupted after iteration 2 is all that the resumed one gets."""
    shutil.copy(trained / 'iter_2.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    train(tmp_path, 4, '--resume', 'auto')
    whole, resumed = weights_of(trained, 4), weights_of(tmp_path, 4)
    assert all(torch.equal(value, resumed['state_dict'][key]) for key, value in whole['state_dict'].items())
    moments = [checkpoint['optimizer']['state'][0]['exp_avg_sq'] for checkpoint in (whole, resumed)]
    assert torch.equal(*moments)


def test_a_resumed_training_with_everything_on(train, tmp_path):
    """SCH and SA losses, two optimizers, clipping and EMA: the generator, D and the average go on as they would have."""
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n{SKF}\n"
        "optim_wrapper['generator']['clip_grad'] = dict(max_norm=1.)\n"
        "custom_hooks = _base_.custom_hooks + [dict(type='EMAHook', momentum=0.1)]\n")
    train(tmp_path / 'whole', 4, config=config)
    train(tmp_path / 'resumed', 4, '--resume', f'{tmp_path}/whole/iter_2.pth', config=config)
    whole, resumed = (weights_of(tmp_path / name, 4) for name in ('whole', 'resumed'))
    for part in ('state_dict', 'ema_state_dict'):
        assert not [key for key in whole[part] if 'skb' in key]
        assert all(torch.equal(value, resumed[part][key]) for key, value in whole[part].items()), part
    assert any(not torch.equal(value, whole['ema_state_dict'][f'module.{key}']) for key, value in whole['state_dict'].items())


def test_resume_from_a_path(trained, train, tmp_path):
    train(tmp_path, 6, '--resume', f'{trained}/iter_4.pth')
    assert weights_of(tmp_path, 6)['meta']['iter'] == 6


def test_amp_and_auto_scale_lr(train, tmp_path):
    train(tmp_path, 2, '--amp', '--auto-scale-lr')
    checkpoint = weights_of(tmp_path, 2)
    # Two images a step where the config counts on four.
    assert checkpoint['optimizer']['param_groups'][0]['initial_lr'] == pytest.approx(5e-4)
    assert ("type='mmskf.Bf16OptimWrapper'" in checkpoint['meta']['cfg']) != torch.cuda.is_available()


def test_partial(trained, train, tmp_path):
    """load_from with another width: some of the tensors fit."""
    wide = ['model.generator.growth=3', f'load_from={trained}/iter_4.pth']
    with pytest.raises(ValueError, match=r'iter_4.pth holds the weights of another model.*of this model match.*--partial'):
        train(tmp_path, 2, options=wide)
    assert not list(tmp_path.glob('*.pth'))
    train(tmp_path, 2, '--partial', options=wide)
    assert (tmp_path / 'iter_2.pth').exists()


def test_a_nan_loss_stops_the_training(train, tmp_path):
    with pytest.raises(FloatingPointError, match='loss_recon'):
        train(tmp_path, 4, options=['optim_wrapper.optimizer.lr=1e20'])


def test_testing(trained, tool, pairs, tmp_path, capsys):
    tool('tools/test').main([
        str(ROOT / CONFIG), f'{trained}/iter_4.pth', '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work'),
        '--out', str(tmp_path / 'scores.csv'), '--show-dir', str(tmp_path / 'show'), '--cfg-options', *SMALL
    ])
    rows = list(csv.reader((tmp_path / 'scores.csv').open()))
    assert rows[0][1:3] == ['PSNR', 'SSIM'] and len(rows) == 4
    scores = [float(row[1]) for row in rows[1:]]
    assert scores[2] == pytest.approx(sum(scores[:2]) / 2, abs=1e-4)
    high, result = (np.asarray(Image.open(path)).astype(float) for path in (pairs / 'test/high/0.png', tmp_path / 'show/0.png'))
    assert scores[0] == pytest.approx(10 * np.log10(255**2 / ((high - result)**2).mean()), abs=1e-3)


def test_photos_without_ground_truth(tool, tmp_path, capfd):
    """NIQE, one row for each of the unpaired sets that are there; noise of two blocks can be measured, one block cannot."""
    rng = np.random.default_rng(0)
    for index, name in enumerate(('MEF', 'NPE', 'VV')):
        (tmp_path / name).mkdir()
        size = (200, 200, 3) if index == 0 else (40, 50, 3)
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / name / 'photo.png')
    model = init_model('drbn_lol')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'drbn.pth')
    MMLogger.get_instance(tmp_path.name)  # writes where this test listens, unlike one made earlier
    tool('tools/test').main([
        'drbn_lol', str(tmp_path / 'drbn.pth'), '--unpaired', str(tmp_path), '--work-dir', str(tmp_path / 'work'),
        '--out', str(tmp_path / 'scores.csv'), '--show-dir', str(tmp_path / 'show'), '--cfg-options',
        'test_dataloader.num_workers=0'
    ])
    rows = list(csv.reader((tmp_path / 'scores.csv').open()))
    assert rows[0] == ['image', 'MEF/NIQE', 'NPE/NIQE', 'VV/NIQE'] and len(rows) == 5
    output = ''.join(capfd.readouterr())
    assert 'VV/NIQE: not measured' in output and "Cannot find key 'gt_img'" not in output
    assert 'no LIME and no DICM: tested on MEF, NPE, VV only' in output and 'found 1 images, expected 17' in output
    # The score is that of the picture that was written.
    picture, = (path for path in (tmp_path / 'show').rglob('*.png') if Image.open(path).size == (200, 200))
    image = np.asarray(Image.open(picture)).astype(np.float32).transpose(2, 0, 1)[::-1]
    sample = dict(output=dict(pred_img=torch.from_numpy(image.copy())), img_path='photo.png')
    assert float(rows[1][1]) == pytest.approx(evaluate(NIQE(), sample)['NIQE'], abs=1e-3)


def test_photos_without_ground_truth_that_are_nowhere(tool, tmp_path, capsys):
    with pytest.raises(FileNotFoundError, match='has none of the folders MEF, LIME, NPE, DICM, VV'):
        tool('tools/test').main(['drbn_lol', 'drbn.pth', '--unpaired', str(tmp_path), '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit):
        tool('tools/test').main(['drbn_lol', 'drbn.pth', '--unpaired', str(tmp_path), '--data-root', str(tmp_path)])
    assert 'leave --data-root out' in capsys.readouterr().err


def test_tta_changes_the_result(trained, tool, pairs, tmp_path):
    for name, flags in (('plain', []), ('tta', ['--tta']), ('amp', ['--amp'])):
        tool('tools/test').main([
            str(ROOT / CONFIG), f'{trained}/iter_4.pth', '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work'),
            '--show-dir', str(tmp_path / name), *flags, '--cfg-options', *SMALL
        ])
    plain, tta, amp = (np.asarray(Image.open(tmp_path / name / '0.png')).astype(int) for name in ('plain', 'tta', 'amp'))
    assert 0 < np.abs(plain - tta).max() and np.abs(plain - amp).mean() < 3 and np.abs(plain - amp).max() > 0


def test_an_output_that_is_not_finite(trained, tool, pairs, tmp_path):
    """All weights are finite, and too large."""
    checkpoint = torch.load(trained / 'iter_4.pth')
    checkpoint['state_dict'] = {key: value * 1e18 for key, value in checkpoint['state_dict'].items()}
    torch.save(checkpoint, tmp_path / 'large.pth')
    with pytest.raises(FloatingPointError, match=f'The output of the network for the image {pairs}/test/low/0.png is NaN or inf'):
        tool('tools/test').main([str(ROOT / CONFIG), str(tmp_path / 'large.pth'), '--data-root', str(pairs), '--work-dir',
                                 str(tmp_path / 'work'), '--show-dir', str(tmp_path / 'show'), '--cfg-options', *SMALL])
    assert not (tmp_path / 'show').exists()


def test_checkpoint_of_another_model(tool, pairs, tmp_path, trained):
    torch.save(dict(state_dict=dict(x=torch.zeros(1))), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth holds the weights of another model'):
        tool('tools/test').main([str(ROOT / CONFIG), str(tmp_path / 'other.pth'), '--data-root', str(pairs),
                                 '--work-dir', str(tmp_path / 'work')])


def test_weights_of_the_knowledge_bank_are_read_before_the_first_image(tool, train, pairs, tmp_path, monkeypatch):
    """In testing, only where SE modules ask for semantics."""
    config = tmp_path / 'config.py'
    config.write_text(f"_base_ = ['{ROOT / CONFIG}']\n{SKF}\nmodel['skb']['checkpoint'] = '{tmp_path}/bank.pth'\n")
    options = {option.split('=')[0]: int(option.split('=')[1]) for option in SMALL[:2]}
    for name, changes in (('se', {}), ('no_se', {'model.generator.se': None})):
        torch.save(init_model(load_config(config, options | changes)).state_dict(), tmp_path / f'{name}.pth')

    def test(checkpoint, *changes):
        tool('tools/test').main([str(config), str(checkpoint), '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work'),
                                 '--out', str(tmp_path / 'scores.csv'), '--cfg-options', *SMALL, *changes])

    message = f'The semantic knowledge bank cannot read its weights from {tmp_path}/bank.pth'
    with monkeypatch.context() as images:
        images.setattr(LoadImage, 'transform', lambda *_: pytest.fail('an image was read'))
        with pytest.raises(RuntimeError, match=message):
            train(tmp_path / 'work', 2, config=config)
        with pytest.raises(RuntimeError, match=message):
            test(tmp_path / 'se.pth')
    test(tmp_path / 'no_se.pth', 'model.generator.se=None')
    assert len((tmp_path / 'scores.csv').read_text().splitlines()) == 4


@pytest.mark.parametrize('arguments, expected', [
    (['dist_test.sh', 'c.py', 'x.pth', '2', '--tta'], ['test.py', 'c.py', 'x.pth', '--launcher', 'pytorch', '--tta']),
    (['dist_test.sh', 'clahe', '2'], ['test.py', 'clahe', '--launcher', 'pytorch']),
    (['slurm_test.sh', 'gpus', 'job', 'c.py', 'x.pth', '--tta'], ['test.py', 'c.py', 'x.pth', '--tta', '--launcher', 'slurm']),
    (['slurm_test.sh', 'gpus', 'job', 'clahe'], ['test.py', 'clahe', '--launcher', 'slurm']),
    (['dist_test.sh', 'c.py', 'x.pth'], None),
    (['dist_test.sh', 'c.py'], None),
])
def test_scripts_that_test_need_a_checkpoint_only_where_the_tool_does(arguments, expected, tmp_path):
    """PYTHON and srun only print what they are called with."""
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    env = dict(os.environ, PYTHON='echo', PATH=f'{tmp_path}:{os.environ["PATH"]}')
    result = subprocess.run(['bash', str(ROOT / 'tools' / arguments[0]), *arguments[1:]], env=env, capture_output=True, text=True)
    if expected is None:
        assert result.returncode == 2 and 'Usage: bash tools/dist_test.sh CONFIG [CHECKPOINT] GPUS' in result.stdout
    else:
        assert result.stdout.rpartition('/')[2].split() == expected


def test_bad_arguments_stop_before_any_work(tool, pairs, tmp_path):
    train = tool('tools/train').main
    with pytest.raises(FileNotFoundError, match='no config or model called .*drbn_loll'):
        train(['configs/baseline/drbn_loll.py'])
    with pytest.raises(FileNotFoundError, match=f'does not exist: {tmp_path}/no/train/low.*--data-root'):
        train([str(ROOT / CONFIG), '--data-root', str(tmp_path / 'no'), '--work-dir', str(tmp_path)])
    with pytest.raises(KeyError, match="model.generater.*Did you mean generator"):
        train([str(ROOT / CONFIG), '--cfg-options', 'model.generater.channels=4'])
    assert not list(tmp_path.glob('**/*.pth'))


@pytest.mark.parametrize('guidance', ['', SKF], ids=['plain', 'skf'])
def test_two_processes_hold_the_same_weights(pairs, tmp_path, guidance, monkeypatch):
    """dist_train.sh with two CPU processes: each writes a fingerprint of its weights after the last step."""
    (tmp_path / 'fingerprint.py').write_text(
        'import hashlib, os, pathlib\n'
        'from mmengine.hooks import Hook\n'
        'from mmskf.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class Fingerprint(Hook):\n'
        '    def after_train(self, runner):\n'
        '        weights = b"".join(weight.detach().numpy().tobytes() for weight in runner.model.parameters())\n'
        '        path = pathlib.Path(runner.work_dir) / f"rank{os.environ[\'RANK\']}"\n'
        '        path.write_text(f"{hashlib.sha1(weights).hexdigest()} of {runner.world_size}")\n')
    (tmp_path / 'config.py').write_text(
        f"_base_ = ['{ROOT / CONFIG}']\n{guidance}\n"
        "custom_imports = dict(imports=['fingerprint'])\n"
        "custom_hooks = _base_.custom_hooks + [dict(type='Fingerprint')]\n")
    train_by_two(tmp_path / 'config.py', pairs, tmp_path / 'work', '--cfg-options', *SMALL, 'train_cfg.max_iters=2',
                 folders=[tmp_path])
    first, second = ((tmp_path / 'work' / f'rank{rank}').read_text() for rank in (0, 1))
    assert first == second and first.endswith(' of 2')
    # What two processes saved is read by one.
    monkeypatch.syspath_prepend(tmp_path)
    init_model(load_config(tmp_path / 'config.py', {option.split('=')[0]: int(option.split('=')[1]) for option in SMALL[:2]}),
               tmp_path / 'work' / 'iter_2.pth')


@pytest.mark.parametrize('flags', [[], ['--tta']])
def test_methods_without_weights(tool, pairs, tmp_path, flags):
    """Tested without a checkpoint: what the input itself scores."""
    tool('tools/test').main([
        'identity', '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work'), '--out', str(tmp_path / 'scores.csv'),
        *flags, '--cfg-options', *(f'test_dataloader.{option}' for option in (
            'dataset.data_prefix.img=test/low', 'dataset.data_prefix.gt=test/high', 'dataset.metainfo.num_images=2',
            'num_workers=0'))
    ])
    rows = list(csv.reader((tmp_path / 'scores.csv').open()))
    low, high = (np.asarray(Image.open(pairs / 'test' / side / '0.png')).astype(float) for side in ('low', 'high'))
    assert float(rows[1][1]) == pytest.approx(10 * np.log10(255**2 / ((high - low)**2).mean()), abs=1e-3)


def test_methods_without_weights_are_not_trained(tool, tmp_path):
    with pytest.raises(ValueError, match='clahe.py describes a method without weights, so there is nothing to train'):
        tool('tools/train').main(['clahe', '--work-dir', str(tmp_path)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['tools/train', 'tools/test'])
def test_a_config_without_a_model(tool, tmp_path, name):
    with pytest.raises(ValueError, match='hrnet_w18s_camvid.py has no field `model`'):
        tool(name).main(['skb/hrnet_w18s_camvid', '--work-dir', str(tmp_path)])


def test_a_network_is_not_tested_without_weights(tool, pairs, tmp_path):
    with pytest.raises(ValueError, match='drbn_demo.py was given no weights: .* Give the checkpoint'):
        tool('tools/test').main([str(ROOT / CONFIG), '--data-root', str(pairs), '--work-dir', str(tmp_path / 'work')])


def test_two_processes_go_on_as_they_would_have(pairs, tmp_path):
    """With workers; from the checkpoint of iteration 2 both come to the weights that they had without the interruption."""
    for work_dir, resume in (('whole', []), ('resumed', ['--resume', str(tmp_path / 'whole' / 'iter_2.pth')])):
        train_by_two(
            ROOT / CONFIG, pairs, tmp_path / work_dir, *resume, '--cfg-options', *SMALL, 'train_cfg.max_iters=4',
            'default_hooks.checkpoint.interval=2', 'train_dataloader.num_workers=1', 'val_cfg=None', 'val_dataloader=None',
            'val_evaluator=None')
    whole, resumed = (weights_of(tmp_path / name, 4)['state_dict'] for name in ('whole', 'resumed'))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_an_option_of_mmengine_that_is_not_for_these_models(train, tmp_path):
    with pytest.raises(ValueError, match='efficient_conv_bn_eval.*model.skb.fuse_conv_bn=True instead'):
        train(tmp_path, 2, options=['efficient_conv_bn_eval=skb'])


def test_compiled_networks_in_a_training(trained, train, tmp_path):
    """The graphs that are compiled are those of the networks."""
    train(tmp_path, 4, options=['compile.backend=eager'])
    whole, compiled = (weights_of(folder, 4)['state_dict'] for folder in (trained, tmp_path))
    assert 'Generator and knowledge bank are compiled' in next(tmp_path.glob('*/*.log')).read_text()
    for key, value in whole.items():
        torch.testing.assert_close(compiled[key], value)


def test_checkpointed_activations_in_a_training(trained, train, tmp_path):
    """The training that takes less memory is the same."""
    train(tmp_path, 4, options=['activation_checkpointing=generator'])
    whole, checkpointed = (weights_of(folder, 4)['state_dict'] for folder in (trained, tmp_path))
    assert all(torch.equal(value, checkpointed[key]) for key, value in whole.items())

from pathlib import Path

import pytest
import tiny_staged  # noqa: F401
import torch
from config_texts import SEGMENTOR, SMALL_DATA
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from processes import train_by_two
from torch.utils.data import DataLoader

from mmskf.apis import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = f"""
_base_ = '{ROOT}/configs/_base_/methods/retinexnet.py'
{SEGMENTOR}
custom_imports = dict(imports=['tiny_staged'])
model = dict(generator=dict(type='TinyRetinexNet'))
{SMALL_DATA}
train_cfg = dict(
    type='StagedTrainLoop',
    stages=[
        dict(name='decom', iters=3,
             dataloader=dict(batch_size=3, dataset=dict(pipeline=dict(RandomCrop=dict(crop_size=16))))),
        dict(name='relight', iters=3)
    ],
    val_interval=3)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2))
# The learning rate of the first stage falls, the second stage has its own.
param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[2], gamma=0.1),
                   dict(type='MultiStepLR', by_epoch=False, milestones=[3], gamma=10)]
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=-1), logger=dict(interval=1))
"""
SKF = """
model.update(
    skb=dict(type='SemanticKnowledgeBank', model=SEGMENTOR),
    sch_loss=dict(type='SCHLoss'),
    sa_loss=dict(type='SALoss', patch_size=32, min_pixels=16, edge_width=1),
    discriminator=dict(type='ThinDiscriminator'))
model['generator']['se'] = dict(type='SEModule', sources=(0, ))
optim_wrapper.update(clip_grad=dict(max_norm=1.), discriminator=dict(clip_grad=None, optimizer=dict(lr=1e-4)))
custom_hooks = _base_.custom_hooks + [dict(type='EMAHook', momentum=0.1)]
"""


def weights_of(work_dir, iteration):
    return CheckpointLoader.load_checkpoint(f'{work_dir}/iter_{iteration}.pth', map_location='cpu')


class Watch(Hook):
    """Notes what each iteration is given and how it learns."""

    def __init__(self):
        self.seen, self.validated = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append((runner.model.stage, len(data_batch['inputs']), data_batch['inputs'][0].shape[-1]))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.terms = set(outputs)

    def before_val(self, runner):
        self.validated.append(runner.iter)


@pytest.fixture(scope='module')
def train(tool, pairs, tmp_path_factory):
    folder = tmp_path_factory.mktemp('configs')

    def run(work_dir, extra='', *args, options=()):
        config = folder / 'config.py'
        config.write_text(CONFIG + extra)
        tool('tools/train').main([str(config), '--data-root', str(pairs), '--work-dir', str(work_dir), *args,
                                  *(['--cfg-options', *options] if options else [])])
        return work_dir

    return run


@pytest.fixture(scope='module')
def trained(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp('plain'))


@pytest.fixture(scope='module')
def trained_skf(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp('skf'), SKF)


@pytest.fixture
def runner(pairs, tmp_path):
    """runner(extra='', **options) is a Runner of the config."""

    def build(extra='', **options):
        (tmp_path / 'config.py').write_text(CONFIG + extra)
        cfg = load_config(tmp_path / 'config.py', options, pairs)
        cfg.work_dir = str(tmp_path)
        return Runner.from_cfg(cfg)

    return build


@pytest.mark.parametrize('work_dir', ['trained', 'trained_skf'])
def test_each_stage_trains_its_subnet_alone(work_dir, request):
    """Also the BatchNorm of the first subnet rests in the second stage, and so does what Adam's momentum would move on."""
    work_dir = request.getfixturevalue(work_dir)
    checkpoints = [weights_of(work_dir, iteration) for iteration in (1, 3, 6)]
    # With EMA, mmengine saves the averaged weights as 'state_dict' and the trained ones beside them.
    first, switch, last = (checkpoint.get('ema_state_dict', checkpoint['state_dict']) for checkpoint in checkpoints)
    for key in [key for key in switch if 'generator.' in key]:
        before, after = ((one[key] != other[key]).any().item() for one, other in ((first, switch), (switch, last)))
        assert (before, after) == ((True, False) if '.decom.' in key else (False, True)), key


def test_each_stage_has_its_own_data_and_learning_rate(runner):
    running, watch = runner(), Watch()
    running.register_hook(watch)
    running.train()
    assert watch.seen == [('decom', 3, 16)] * 3 + [('relight', 2, 32)] * 3
    assert watch.validated == [6]  # not after 3: there is no image yet
    assert watch.terms == {'loss', 'loss_recon', 'relight', 'smooth'}
    assert running.optim_wrapper.get_lr()['lr'][0] == pytest.approx(1e-2)


@pytest.mark.parametrize('work_dir, extra, interrupted', [('trained', '', 1), ('trained', '', 3), ('trained_skf', SKF, 5)])
def test_a_resumed_training_equals_an_uninterrupted_one(work_dir, extra, interrupted, request, train, tmp_path):
    """In the first stage, between the two and in the last; with SE, SCH, SA, two optimizers, clipping and EMA."""
    work_dir = request.getfixturevalue(work_dir)
    train(tmp_path, extra, '--resume', f'{work_dir}/iter_{interrupted}.pth')
    whole, resumed = weights_of(work_dir, 6), weights_of(tmp_path, 6)
    for part in ('state_dict', 'ema_state_dict') if extra else ('state_dict', ):
        assert all(torch.equal(value, resumed[part][key]) for key, value in whole[part].items()), part


def test_a_resumed_training_equals_an_uninterrupted_one_with_workers(train, tmp_path):
    options = ['train_dataloader.num_workers=2', 'train_dataloader.persistent_workers=True', 'val_cfg=None',
               'val_dataloader=None', 'val_evaluator=None']
    train(tmp_path / 'whole', '', options=options)
    train(tmp_path / 'resumed', '', '--resume', f'{tmp_path}/whole/iter_4.pth', options=options)
    whole, resumed = (weights_of(tmp_path / name, 6)['state_dict'] for name in ('whole', 'resumed'))
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


def test_the_log_says_where_it_is(trained, train, tmp_path):
    text = next(trained.glob('*/*.log')).read_text()
    assert 'Stage 1 of 2: decom, 3 iterations\n' in text and 'Stage 2 of 2: relight, 3 iterations\n' in text
    assert 'Stage 1 of 2: decom [3/3]  Iter(train) [3/6]' in text and 'Stage 2 of 2: relight [1/3]  Iter(train) [4/6]' in text
    assert 'recon_low' not in text.split('[4/6]')[1].split('\n')[0]  # a term of the stage before
    assert '"stage": 2' in next(trained.glob('*/vis_data/scalars.json')).read_text()
    train(tmp_path, '', '--resume', f'{trained}/iter_5.pth')
    assert 'relight, 3 iterations, of which 2 are done' in next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.parametrize('exposure, name', [('auto', 'PSNR'), ('gt', 'PSNR (exposure from the ground truth)')])
def test_scores_say_where_the_exposure_comes_from(trained, tool, pairs, tmp_path, capfd, exposure, name):
    (tmp_path / 'config.py').write_text(CONFIG)
    tool('tools/test').main([
        str(tmp_path / 'config.py'), f'{trained}/iter_6.pth', '--data-root', str(pairs), '--work-dir', str(tmp_path),
        '--out', str(tmp_path / 'scores.csv'), '--cfg-options', f'model.generator.exposure={exposure}'
    ])
    assert (tmp_path / 'scores.csv').read_text().splitlines()[0] == f'image,{name}'
    assert f'    {name}: ' in ''.join(capfd.readouterr())


def test_a_stage_is_skipped(runner):
    running, watch = runner(**{'train_cfg.stages.0.iters': 0}), Watch()
    running.register_hook(watch)
    running.train()
    assert [stage for stage, *_ in watch.seen] == ['relight'] * 3


def test_half_precision(train, tmp_path, trained):
    train(tmp_path, '', '--amp', '--auto-scale-lr', options=['auto_scale_lr.base_batch_size=6', 'auto_scale_lr.enable=True'])
    checkpoint = weights_of(tmp_path, 6)
    # Two images a step in train_dataloader, where the config counts on six; all stages are scaled alike.
    assert checkpoint['optimizer']['param_groups'][0]['initial_lr'] == pytest.approx(1e-2 / 3)
    assert checkpoint['state_dict'].keys() == weights_of(trained, 6)['state_dict'].keys()


@pytest.mark.parametrize('changes, message', [
    ({'train_cfg.stages.0.name': 'decomp'}, r"stages \['decomp', 'relight'\], but the model is trained in the stages "
                                            r"\['decom', 'relight'\]"),
    ({'train_cfg.stages': [dict(name='relight', iters=1), dict(name='decom', iters=1)]}, 'in this order'),
    ({'train_cfg.stages': []}, r'stages \[\]'),
    ({'train_cfg.stages.0.iters': -1}, 'iters'),
    ({'train_cfg.stages.1.lr': 1}, "'lr': 1"),
    ({'train_cfg.stages.1.dataloader': dict(dataset=dict(data_prefix=dict(img='nowhere')))}, 'does not exist: .*/nowhere'),
    ({'train_cfg.stages.1.dataloader': dict(dataset=dict(pipeline=dict(RandomCorp=dict(crop_size=16))))},
     "train_cfg.stages, relight, dataloader.dataset.pipeline: 'RandomCorp' is neither an index .* Did you mean RandomCrop"),
    ({'train_cfg.stages.1.dataloader': dict(dataset=dict(pipeline=dict(Flip=dict(flip_ratio=0))))},
     "'Flip' could mean 2 items of the list: name one by its index, 3 or 4"),
    ({'model.recon_loss.adjust': dict(type='KinDAdjustLoss')}, r"has losses for \['adjust', 'decom', 'relight'\]"),
])
def test_what_cannot_be_stops_before_the_start(runner, changes, message):
    with pytest.raises((ValueError, FileNotFoundError, KeyError), match=message):
        runner(**changes).train()


def test_other_models_and_loaders(runner):
    other = runner()
    loader = Runner.build_dataloader(other.cfg.train_dataloader, seed=0)
    assert isinstance(loader, DataLoader)
    other._train_dataloader = loader
    with pytest.raises(TypeError, match='not as a DataLoader'):
        other.train()
    del other.model.stages
    other._train_dataloader = other.cfg.train_dataloader
    with pytest.raises(ValueError, match='StagedEditor is not trained in stages'):
        other.train()


@pytest.mark.parametrize('extra', ['', SKF], ids=['plain', 'skf'])
def test_two_processes_hold_the_same_weights(pairs, tmp_path, extra):
    """What rests in a stage rests in both; a subnet without a gradient does not stop the other process."""
    (tmp_path / 'fingerprint.py').write_text(
        'import os, pathlib, torch\n'
        'from mmengine.hooks import Hook\n'
        'from mmskf.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class Fingerprint(Hook):\n'
        '    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):\n'
        '        path = pathlib.Path(runner.work_dir) / f"{runner.iter + 1}_{os.environ[\'RANK\']}.pth"\n'
        '        torch.save({k.replace("module.", ""): v for k, v in runner.model.named_parameters()}, path)\n')
    (tmp_path / 'config.py').write_text(
        CONFIG + extra + "default_hooks['fingerprint'] = dict(type='Fingerprint')\n"
        "custom_imports['imports'].append('fingerprint')\n")
    train_by_two(
        tmp_path / 'config.py', pairs, tmp_path / 'work', '--cfg-options', 'train_cfg.stages.0.iters=2',
        'train_cfg.stages.1.iters=1', 'default_hooks.checkpoint.interval=9', 'val_cfg=None', 'val_dataloader=None',
        'val_evaluator=None', folders=[tmp_path, ROOT / 'tests'])
    weights = {iteration: [torch.load(tmp_path / 'work' / f'{iteration}_{rank}.pth') for rank in (0, 1)]
               for iteration in (1, 2, 3)}
    for first, second in weights.values():
        assert all(torch.equal(value, second[key]) for key, value in first.items())
    for key in weights[1][0]:
        if key.startswith('generator.'):
            before, after = ((weights[one][0][key] != weights[other][0][key]).any().item() for one, other in ((1, 2), (2, 3)))
            assert (before, after) == ((True, False) if '.decom.' in key else (False, True)), key

"""Trainings with cached priors."""
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from config_texts import SEGMENTOR, SMALL_DATA
from mmengine.runner.checkpoint import CheckpointLoader
from processes import train_by_two, use_cpu
from test_staged_train_loop import CONFIG as STAGED_BASE
from test_staged_train_loop import SKF as STAGED_SKF

from mmskf.datasets.prior_cache import PriorCache
from mmskf.datasets.resumable import PositionedDataset
from mmskf.engine.hooks.prior_cache_hook import simple_datasets
from mmskf.models import KnowledgeBank
from mmskf.registry import DATASETS

ROOT = Path(__file__).resolve().parents[2]
# A bank without checkpoint has other weights in every process; this one's depend on its seed.
CONFIG = f"""
_base_ = '{ROOT}/configs/_base_/methods/drbn.py'
custom_imports = dict(imports=['seeded_bank'])
{SEGMENTOR}
model = dict(
    generator=dict(channels=4, growth=2, se=_base_.skf.generator.se),
    skb=dict(type='SeededBank', model=SEGMENTOR),
    sch_loss=_base_.skf.sch_loss,
    sa_loss=dict(type='SALoss', patch_size=32, min_pixels=16, edge_width=1),
    discriminator=dict(type='ThinDiscriminator'))
{SMALL_DATA}
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
train_cfg = dict(max_iters=4, val_interval=4)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
custom_hooks = _base_.custom_hooks + [dict(type='EMAHook', momentum=0.1)]
"""
STAGED = STAGED_BASE + STAGED_SKF + """
train_cfg.update(stages=[dict(name='decom', iters=1), dict(name='relight', iters=2)], val_interval=3)
"""
BANK = """
import tiny_staged
import torch
from mmskf.models import SemanticKnowledgeBank
from mmskf.registry import MODELS
@MODELS.register_module(force=True)
class SeededBank(SemanticKnowledgeBank):
    def __init__(self, seed=0, **kwargs):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            super().__init__(**kwargs)
"""
PROGRESSIVE = """
_base_ = 'config.py'
custom_hooks = _base_.custom_hooks + [
    dict(type='ProgressivePatchHook', phases=[dict(iters=4, batch_size=1, patch_size=16)])]
"""
BLURRED = """
_base_ = 'config.py'
pipeline = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    dataset=dict(pipeline=[*pipeline[:2], dict(type='mmagic.RandomBlur', params={}, keys=['img']), *pipeline[2:]]))
"""
WHOLE, PADDED = (1, 3, 42, 54), (1, 3, 44, 56)  # what the bank sees of an image for the cache, and in testing


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('config')
    (folder / 'config.py').write_text(CONFIG)
    (folder / 'staged.py').write_text(STAGED)
    (folder / 'progressive.py').write_text(PROGRESSIVE)
    (folder / 'blurred.py').write_text(BLURRED)
    (folder / 'seeded_bank.py').write_text(BANK)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        # Formatting the config, for logs and checkpoints, would take most of the time.
        patch.setattr('mmengine.config.config.FormatCode', lambda code, **kwargs: (code, True))
        yield folder / 'config.py'


def hook(folder):
    return ['default_hooks.prior_cache.type=PriorCacheHook', f'default_hooks.prior_cache.folder={folder}']


@pytest.fixture(scope='module')
def train(config, pairs, tool):

    def run(work_dir, *options, args=(), config=config):
        tool('tools/train').main([str(config), '--data-root', str(pairs), '--work-dir', str(work_dir), *args, '--cfg-options',
                                  *hook(work_dir.parent / 'priors'), *options])
        return work_dir

    return run


@pytest.fixture
def bank_calls(monkeypatch):
    """The shapes of all images that a bank sees."""
    calls, forward = [], KnowledgeBank.forward

    def counted(self, image, logits=True):
        calls.append(tuple(image.shape))
        return forward(self, image, logits)

    monkeypatch.setattr(KnowledgeBank, 'forward', counted)
    return calls


def weights(work_dir, iteration=4):
    return CheckpointLoader.load_checkpoint(f'{work_dir}/iter_{iteration}.pth', map_location='cpu')['state_dict']


def alike(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope='module')
def trained(train, tmp_path_factory):
    """The work dir of a training with cached priors, in a folder of its own; on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        use_cpu(patch)
        return train(tmp_path_factory.mktemp('trained') / 'work')


def test_the_bank_sees_every_image_once(train, bank_calls, trained, monkeypatch):
    use_cpu(monkeypatch)
    folder = trained.parent
    train(folder / 'again')  # reads what the first one has left
    assert bank_calls == [PADDED] * 2
    assert alike(weights(folder / 'again'), weights(trained))
    bank_calls.clear()
    train(folder / 'other', 'model.skb.seed=1')
    assert bank_calls == [WHOLE] * 4 + [PADDED] * 2
    assert len(list((folder / 'priors').iterdir())) == 2
    train(folder / 'scaled', 'model.data_preprocessor.type=EnhancementPreprocessor', 'model.data_preprocessor.std=[200.]')
    assert len(list((folder / 'priors').iterdir())) == 3
    path = next((folder / 'priors').glob('*/*.safetensors'))
    path.write_bytes(path.read_bytes()[:100])
    bank_calls.clear()
    for seed in (0, 1):
        train(folder / 'torn', f'model.skb.seed={seed}')
    assert bank_calls.count(WHOLE) == 1


def test_resumed_and_with_workers_it_is_the_same_training(train, trained, monkeypatch):
    use_cpu(monkeypatch)
    folder = trained.parent
    train(folder / 'resumed', 'train_cfg.max_iters=2', 'train_dataloader.num_workers=1')
    train(folder / 'resumed', args=['--resume'])
    assert alike(weights(folder / 'resumed'), weights(trained))


def test_half_precision(train, trained, bank_calls):
    folder = trained.parent
    train(folder / 'amp', 'train_cfg.max_iters=2', args=['--amp'])
    assert set(bank_calls) == {PADDED}
    assert all(weight.isfinite().all() for weight in weights(folder / 'amp', 2).values())


def test_only_the_last_stage_reads_the_cache(train, tmp_path, bank_calls, config):
    train(tmp_path / 'work', config=config.with_name('staged.py'))
    assert bank_calls == [WHOLE] * 4 + [WHOLE] * 2  # the second two in the validation


def test_two_processes(config, pairs, tmp_path):
    log = train_by_two(
        config, pairs, tmp_path / 'work', '--cfg-options', *hook(tmp_path / 'priors'), 'train_cfg.max_iters=2',
        'train_dataloader.batch_size=1', 'train_dataloader.num_workers=1', folders=[config.parent, ROOT / 'tests'])
    assert '0 of 4 training images are there, 4 are computed now' in log
    assert len(list((tmp_path / 'priors').glob('*/*.safetensors'))) == 4
    assert len(weights(tmp_path / 'work', 2)) > 0


def test_what_is_computed_before_an_interruption_is_kept(train, tmp_path, bank_calls, monkeypatch):
    write = PriorCache.write

    def interrupted(self, *args):
        if len(bank_calls) == 3:
            raise KeyboardInterrupt
        write(self, *args)

    monkeypatch.setattr(PriorCache, 'write', interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / 'work')
    log = next(tmp_path.glob('work/*/*.log')).read_text()
    assert '4 are computed now (' in log and 'the same command, started again, continues here' in log
    monkeypatch.undo()
    train(tmp_path / 'work', 'train_cfg.max_iters=1')
    assert '2 of 4 training images are there, 2 are computed now' in sorted(tmp_path.glob('work/*/*.log'))[-1].read_text()


@pytest.mark.parametrize('max_size, message', [
    (1e-6, 'needs 16.3 kB, but .*priors has 0 bytes already, of at most 1e-06 GB: raise max_size of PriorCacheHook'),
    (1., 'needs 16.3 kB, but the disk of .*priors has 1.0 kB left'),
])
def test_space_is_checked_before_anything_is_computed(train, tmp_path, bank_calls, monkeypatch, max_size, message):
    monkeypatch.setattr('shutil.disk_usage', lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=message):
        train(tmp_path / 'work', f'default_hooks.prior_cache.max_size={max_size}')
    assert not bank_calls and not (tmp_path / 'priors').exists()


@pytest.mark.parametrize('name, option, message', [
    ('config', 'default_hooks.prior_cache.max_size=abc', "max_size of PriorCacheHook is 'abc', expected a number of GB above 0"),
    ('progressive', 'resume=False', 'does not work with ProgressivePatchHook'),
    ('blurred', 'resume=False', 'RandomBlur, step 3 of the training pipeline'),
    ('config', 'train_cfg.type=mmengine.IterBasedTrainLoop', 'IterBasedTrainLoop, which has started to load images already'),
    ('config', 'model.loss_input=pred', "model.loss_input='pred', which is not the low-light image: change that"),
])
def test_trainings_whose_priors_cannot_be_cached(train, config, tmp_path, bank_calls, name, option, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path / 'work', option, config=config.with_name(f'{name}.py'))
    assert not bank_calls and not (tmp_path / 'priors').exists()


def test_data_sets_inside_of_wrappers(pairs):
    simple = dict(type='EnhancementDataset', data_root=str(pairs), data_prefix=dict(img='train/low', gt='train/high'))
    nested = DATASETS.build(dict(type='ConcatDataset', datasets=[simple, dict(type='RepeatDataset', times=3, dataset=simple)]))
    found = simple_datasets(PositionedDataset(nested, seed=0))
    assert found == [nested.datasets[0], nested.datasets[1].dataset]

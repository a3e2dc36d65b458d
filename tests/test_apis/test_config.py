import inspect
import re

import pytest
import torch
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from mmskf.apis import find_config, list_models, load_config, train_dataloader, use_amp
from mmskf.apis.config import _fields_of_runner, check_model, datasets, optim_wrappers
from mmskf.engine.loops import stage_dataloader
from mmskf.registry import DATA_SAMPLERS, HOOKS


def test_list_models():
    assert {'drbn_lol', 'drbn_lolv2'} <= set(list_models())
    assert list_models('drbn_lol') == ['drbn_lol']
    assert list_models('nothing*') == []


def test_find_config():
    assert find_config('drbn_lol') == find_config('baseline/drbn_lol') == find_config(find_config('drbn_lol'))
    assert find_config('drbn_skf_lol') == find_config('skf/drbn_skf_lol')
    with pytest.raises(FileNotFoundError, match="'drbn_loll'. Did you mean drbn_lol"):
        find_config('drbn_loll')
    with pytest.raises(FileNotFoundError, match='Known models: .*drbn_lol'):
        find_config('xyz')


def test_a_config_needs_no_entry_in_the_model_index(tmp_path, monkeypatch):
    for folder in ('baseline', 'skf'):
        (tmp_path / 'configs' / folder).mkdir(parents=True)
        (tmp_path / 'configs' / folder / f'{folder}_new.py').write_text(f"work_dir = '{folder}'\n")
    monkeypatch.setattr('mmskf.apis.config.config_root', lambda: tmp_path / 'configs')
    assert [load_config(name).work_dir for name in ('baseline_new', 'skf_new')] == ['baseline', 'skf']
    with pytest.raises(FileNotFoundError, match=f"'new'. Did you mean skf_new.* needs no entry in the model index for its name, "
                       f'but a config in {tmp_path}/configs/baseline or {tmp_path}/configs/skf'):
        load_config('new')


def test_data_root_reaches_every_data_set():
    cfg = load_config('drbn_lol', data_root='/photos')
    assert [dataset.data_root for dataset in datasets(cfg)] == ['/photos'] * 3
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=cfg.train_dataloader.dataset)
    cfg.test_dataloader = [cfg.test_dataloader, cfg.val_dataloader]
    assert len(list(datasets(cfg))) == 4


def test_data_root_and_options_reach_the_stages_of_a_training():
    """Of all stages through train_dataloader, of one by its index; the last one's images are what the tools look at."""
    cfg = load_config('kind_lol', {'train_dataloader.num_workers': 7, 'train_cfg.stages.adjust.dataloader.batch_size': 3,
                                   'train_cfg.stages.0.dataloader.dataset.data_root': 'elsewhere',
                                   'train_cfg.stages.0.dataloader.dataset.pipeline.RandomCrop.crop_size': 32,
                                   'train_cfg.stages.2.dataloader.dataset.pipeline.3.crop_size': 96}, data_root='/photos')
    loaders = [stage_dataloader(cfg.train_dataloader, stage) for stage in cfg.train_cfg.stages]
    assert [(loader.dataset.data_root, loader.num_workers) for loader in loaders] == [('/photos', 7)] * 3
    assert [loader.batch_size for loader in loaders] == [10, 3, 4]
    assert [loader.dataset.pipeline[3].crop_size for loader in loaders] == [32, 48, 96]
    assert train_dataloader(cfg) == loaders[2] and cfg.train_dataloader.dataset.pipeline[3].crop_size == 384
    assert train_dataloader(load_config('drbn_lol')) == load_config('drbn_lol').train_dataloader


@pytest.mark.parametrize('option, close', [
    ('modl.generator.channels', 'model'),
    ('model.generator.chanels', 'channels'),
    ('model.skp', 'skb'),
    ('optim_wrapper.optimizer.lrr', 'lr'),
    ('default_hooks.logger.intervall', 'interval'),
    ('train_dataloader.dataset.data_rot', 'data_root'),
    ('custom_hooks.7.interval', 'not an index of a list of'),
    ('train_dataloader.dataset.pipeline.2.crop_sise', 'crop_size'),
    ('train_dataloader.dataset.pipeline.RandomCrop.crop_sise', 'crop_size'),
    ('train_dataloader.dataset.pipeline.RandomCorp.crop_size', 'Did you mean RandomCrop'),
    ('train_dataloader.dataset.pipeline.Flip.flip_ratio', 'could mean 2 items of the list: name one by its index, 3 or 4'),
    ('optim_wrapper.generater.optimizer.lr', 'generator'),
    ('find_unused_parameter', 'find_unused_parameters'),
    ('compile.bakend', 'backend'),
    ('randomness.sed', 'seed'),
    ('custom_imports.import', 'imports'),
    ('train_dataloader.num_worker', 'num_workers'),
    ('param_scheduler.MultiStepLR.gama', 'gamma'),
    ('model_wrapper_cfg.find_unused', 'find_unused_parameters'),
])
def test_options_that_do_not_exist(option, close):
    with pytest.raises(KeyError, match=f'{option}.*{close}'):
        load_config('drbn_lol', {option: 1})


@pytest.mark.parametrize('option, value, message', [
    ('optim_wrapper.optimizer.lr', 'abc', '=abc: expected a number, such as 0.0001'),
    ('train_cfg.max_iters', 'abc', '=abc: expected a number, such as 291000'),
    ('train_dataloader.timeout', 'abc', '=abc: expected a number, such as 0'),  # the default, as the config does not set it
    ('train_dataloader.drop_last', 'no', '=no: expected True or False, such as False'),
    ('optim_wrapper.optimizer', 'SGD', '=SGD: expected a set of fields'),
    ('param_scheduler.MultiStepLR.gamma', 'half', '=half: expected a number, such as 0.5'),
    ('train_cfg.max_iters.x', 1, ': max_iters is 291000, which has no fields'),
    ('default_scope.x', 1, ": default_scope is 'mmskf', which has no fields"),
])
def test_values_that_are_not_for_their_field(option, value, message):
    with pytest.raises(TypeError, match=f'--cfg-options {option}{message}'):
        load_config('drbn_lol', {option: value})


@pytest.mark.parametrize('option, value', [
    ('resume', 'auto'), ('optim_wrapper.optimizer.lr', 1), ('custom_hooks.BasicVisualizationHook.interval', 10),
    ('default_hooks.checkpoint.save_best', 'PSNR'), ('train_dataloader.dataset.pipeline.RandomCrop.crop_size', [32, 48]),
    ('val_cfg', None), ('compile', True), ('load_from', 'x.pth')])
def test_values_of_another_kind_that_are_for_their_field(option, value):
    load_config('drbn_lol', {option: value})


@pytest.mark.parametrize('option', ['lol.train.data_root', 'skf.sch_loss.loss_weight', 'train_pipeline.0.key'])
def test_names_that_the_config_file_has_for_itself(option):
    with pytest.raises(KeyError, match=f'{option}: .* only a name inside the config file.*RandomCrop.crop_size; --data-root'):
        load_config('drbn_lol', {option: 1})


@pytest.mark.parametrize('option', [
    'model.generator.channels', 'model.se_input', 'optim_wrapper.optimizer.weight_decay', 'randomness.seed',
    'train_dataloader.dataset.indices', 'auto_scale_lr.enable',
    'train_dataloader.prefetch_factor', 'test_evaluator.metrics', 'work_dir',
    'model.test_cfg.tta', 'optim_wrapper.discriminator.optimizer.lr',
    'optim_wrapper.generator.optimizer.lr', 'optim_wrapper.paramwise_cfg.norm_decay_mult',
    'find_unused_parameters', 'sync_bn', 'activation_checkpointing', 'efficient_conv_bn_eval', 'compile', 'compile.backend',
    'model_wrapper_cfg', 'model_wrapper_cfg.find_unused_parameters', 'model_wrapper_cfg.static_graph', 'experiment_name',
    'randomness.deterministic', 'train_dataloader.batch_sampler', 'train_dataloader.num_batch_per_epoch',
    'train_dataloader.persistent_workers', 'train_dataloader.collate_fn', 'train_dataloader.timeout',
    'default_hooks.param_scheduler.epoch_length'
])
def test_options_that_exist(option):
    cfg = load_config('drbn_lol', {option: 1})
    for name in option.split('.'):
        cfg = cfg[name]
    assert cfg == 1


@pytest.mark.parametrize('option', ['gamma', 'by_epoch', 'begin', 'end', 'verbose', 'convert_to_iter_based'])
def test_options_of_a_schedule(option):
    cfg = load_config('drbn_lol', {f'param_scheduler.MultiStepLR.{option}': 1})
    assert cfg.param_scheduler[0][option] == 1


def test_all_that_mmengine_looks_up_in_a_config_is_an_option():
    """However the Runner comes to it."""
    looked_up = set(re.findall(r"\bcfg(?:\.get\(|\[)\s*'(\w+)'", inspect.getsource(Runner)))
    assert {'compile', 'sync_bn', 'model_wrapper_cfg', 'train_cfg'} < looked_up <= _fields_of_runner().keys()


def test_modules_to_import_are_an_option(tmp_path, monkeypatch):
    """Before what they register is looked for."""
    (tmp_path / 'module_of_mine.py').write_text('''
from mmengine.hooks import Hook

from mmskf.registry import HOOKS


@HOOKS.register_module()
class HookOfMine(Hook):

    def __init__(self, volume):
        self.volume = volume
''')
    (tmp_path / 'config.py').write_text(
        f"_base_ = '{find_config('drbn_lol')}'\ndefault_hooks = dict(mine=dict(type='HookOfMine', volume=1))\n")
    monkeypatch.syspath_prepend(tmp_path)
    options = {'custom_imports.imports': 'module_of_mine', 'default_hooks.mine.volume': 11}
    assert HOOKS.build(load_config(tmp_path / 'config.py', options).default_hooks.mine).volume == 11
    with pytest.raises(KeyError, match='volum.*Did you mean volume'):
        load_config(tmp_path / 'config.py', {**options, 'default_hooks.mine.volum': 11})
    with pytest.raises(ImportError, match='module_of_nobody'):
        load_config('drbn_lol', {'custom_imports.imports': 'module_of_nobody'})


@pytest.mark.parametrize('options, sizes', [
    (dict(num_workers=0), [3, 1]),
    (dict(num_workers=1, persistent_workers=True, prefetch_factor=3, timeout=60, multiprocessing_context='fork'), [3, 1]),
    (dict(drop_last=True, pin_memory=False, in_order=True), [3]),
    (dict(num_batch_per_epoch=1), [3]),
    (dict(disable_subprocess_warning=True, collate_fn=dict(type='pseudo_collate')), [3, 1]),
    (dict(worker_init_fn=dict(type='SeedByNumber', seed=3)), [3, 1]),
    (dict(batch_sampler=dict(type='TorchBatchSampler', drop_last=False)), [3, 1]),
], ids=lambda value: '-'.join(value) if isinstance(value, dict) else '')
def test_options_of_a_data_loader(pairs, options, sizes):
    """No default of the configs excludes one; four images in batches of three."""
    DATA_SAMPLERS.register_module(name='TorchBatchSampler', module=torch.utils.data.BatchSampler, force=True)
    FUNCTIONS.register_module(name='SeedByNumber', module=lambda number, seed: torch.manual_seed(seed + number), force=True)
    options = dict(num_workers=0, batch_size=3, sampler=dict(type='DefaultSampler', shuffle=False)) | options
    cfg = load_config('demo/drbn_demo', {'train_dataloader.dataset.pipeline.RandomCrop.crop_size': 32,
                                         **{f'train_dataloader.{name}': value for name, value in options.items()}}, str(pairs))
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    assert [len(batch['inputs']) for batch in loader] == sizes


def test_a_data_preprocessor_that_does_not_take_what_the_pipeline_makes():
    cfg = load_config('drbn_lol')
    check_model(cfg)
    cfg.model.data_preprocessor = dict(type='EnhancementPreprocessor')
    check_model(cfg)
    cfg.model.data_preprocessor = dict(type='mmagic.DataPreprocessor')
    with pytest.raises(ValueError, match="is mmagic.DataPreprocessor, .* PackInputs of mmskf makes in the pipeline of 'data/LOL'"
                                         ': end every pipeline with mmagic.PackInputs, or choose mmskf.EnhancementPreprocessor'):
        check_model(cfg)
    for dataset in datasets(cfg):
        dataset.pipeline[-1].type = 'mmagic.PackInputs'
    check_model(cfg)


@pytest.mark.parametrize('capability, fast', [('AVX512', True), ('AVX2', False)])
def test_half_precision_on_a_cpu_that_has_no_instructions_for_it(monkeypatch, recwarn, capability, fast):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
    cfg = load_config('drbn_skf_lol', {'optim_wrapper.discriminator.type': 'OptimWrapper'})
    use_amp(cfg)
    assert {wrapper.type for wrapper in optim_wrappers(cfg)} == {'mmskf.Bf16OptimWrapper'} and len(optim_wrappers(cfg)) == 2
    assert ['Omit --amp' in str(warning.message) for warning in recwarn] == ([] if fast else [True])

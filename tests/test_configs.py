from pathlib import Path

import pytest
import yaml
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope

from mmskf.apis import config_root, load_config
from mmskf.engine.loops import stage_dataloader
from mmskf.registry import EVALUATOR, HOOKS, LOOPS, MODEL_WRAPPERS, MODELS, PARAM_SCHEDULERS, TRANSFORMS, VISUALIZERS

ROOT = Path(__file__).resolve().parents[1]
METHODS = sorted(str(path.relative_to(config_root())) for folder in ('baseline', 'skf', 'demo', 'unpaired')
                 for path in (config_root() / folder).glob('*.py'))


def each(value):
    """The items of a list, or the one there is."""
    return value if isinstance(value, (list, tuple)) else [value]


@pytest.mark.parametrize('name', METHODS)
def test_config_builds(name):
    """Everything that can be built without data: model, transforms, metrics, optimizers, schedules, hooks, visualizer."""
    cfg = load_config(config_root() / name)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert sum(weight.numel() for weight in model.generator.parameters()) > 0
    for split in ('train', 'val', 'test'):
        for loader in each(cfg[f'{split}_dataloader']):
            for transform in loader.dataset.pipeline:
                TRANSFORMS.build(transform)
    for stage in cfg.train_cfg.get('stages', []):
        for transform in stage_dataloader(cfg.train_dataloader, stage).dataset.pipeline:
            TRANSFORMS.build(transform)
    assert not cfg.train_cfg.get('stages') or [stage.name for stage in cfg.train_cfg.stages] == list(model.stages)
    for evaluator in [*each(cfg.val_evaluator), *each(cfg.test_evaluator)]:
        EVALUATOR.build(evaluator)
    optimizers = build_optim_wrapper(model, cfg.optim_wrapper)
    for optimizer in optimizers.values() if isinstance(optimizers, OptimWrapperDict) else [optimizers]:
        for scheduler in cfg.param_scheduler:
            PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
    for loop in ('train_cfg', 'val_cfg', 'test_cfg'):
        assert LOOPS.get(cfg[loop].type)
    assert MODEL_WRAPPERS.get(cfg.get('model_wrapper_cfg', dict(type='MMDistributedDataParallel'))['type'])
    for hook in [*cfg.custom_hooks, *cfg.default_hooks.values()]:
        HOOKS.build(hook)
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None, name=name))


def test_every_config_is_tested():
    """The banks of configs/skb are built and trained with in tests of their own, where a new one is found by its name."""
    tested = {*METHODS, *(str(path.relative_to(config_root())) for folder in ('_base_', '_base_/*', 'skb')
                          for path in config_root().glob(f'{folder}/*.py'))}
    assert {str(path.relative_to(config_root())) for path in config_root().rglob('*.py')} == tested


def test_model_index_lists_every_method():
    """Each config of a method is in the index, with the number of parameters that its network has."""
    listed = {}
    for entry in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        for model in yaml.safe_load((ROOT / entry).read_text())['Models']:
            assert Path(model['Config']).stem == model['Name']
            listed[ROOT / model['Config']] = model['Metadata']['Parameters']
    assert set(listed) == {path for folder in ('baseline', 'skf') for path in (ROOT / 'configs' / folder).glob('*.py')}
    for path, parameters in listed.items():
        cfg = load_config(path)
        assert parameters == sum(weight.numel() for weight in MODELS.build(cfg.model).generator.parameters()), path

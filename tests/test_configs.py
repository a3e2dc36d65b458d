from pathlib import Path

import pytest
import yaml
from mmengine.registry import init_default_scope

from mmskf.apis import config_root, load_config
from mmskf.registry import HOOKS, METRICS, MODELS, TRANSFORMS, VISUALIZERS

ROOT = Path(__file__).resolve().parents[1]
METHODS = sorted(str(path.relative_to(config_root())) for folder in ('baseline', 'skf', 'demo', 'unpaired')
                 for path in (config_root() / folder).glob('*.py'))


def each(value):
    """The items of a list, or the one there is."""
    return value if isinstance(value, (list, tuple)) else [value]


@pytest.mark.parametrize('name', METHODS)
def test_config_builds(name):
    """Everything that can be built without data: model, transforms, metrics, hooks, visualizer."""
    cfg = load_config(config_root() / name)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    assert sum(weight.numel() for weight in model.generator.parameters()) > 0
    for split in ('train', 'val', 'test'):
        for loader in each(cfg[f'{split}_dataloader']):
            for transform in loader.dataset.pipeline:
                TRANSFORMS.build(transform)
    for evaluator in each(cfg.test_evaluator):
        for metric in evaluator['metrics']:
            METRICS.build(metric)
    for hook in [*cfg.custom_hooks, *cfg.default_hooks.values()]:
        HOOKS.build(hook)
    VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None, name=name))


def test_every_config_is_tested():
    folders = {path.parent.name for path in config_root().glob('*/*.py')}
    assert folders <= {'baseline', 'skf', 'demo', 'unpaired', 'skb', 'ablation', '_base_'}


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

from mmengine import DefaultScope
from mmengine import registry as mmengine_registry
from mmengine.registry import init_default_scope

from mmskf import register_all_modules, registry
from mmskf.registry import DATASETS, MODELS, TRANSFORMS


def test_types_of_other_libraries_by_prefix():
    assert MODELS.get('mmseg.HRNet').__module__.startswith('mmseg.')
    assert MODELS.get('mmagic.DataPreprocessor').__module__.startswith('mmagic.')
    assert DATASETS.get('mmagic.BasicImageDataset').__module__.startswith('mmagic.')
    assert TRANSFORMS.get('mmagic.PackInputs').__module__.startswith('mmagic.')


def test_own_types_are_found_without_an_import():
    assert MODELS.get('SKFEditor').__module__ == 'mmskf.models.editors.skf_editor'
    assert MODELS.get('mmskf.DRBNNet').__module__.startswith('mmskf.')


def test_a_child_for_every_node():
    nodes = {name for name, value in vars(mmengine_registry).items() if isinstance(value, mmengine_registry.Registry)}
    assert not {name for name in nodes - {'FUNCTIONS', 'INFERENCERS', 'STRATEGIES'} if not hasattr(registry, name)}


def test_register_all_modules():
    init_default_scope('mmengine')
    register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmskf'
    assert 'BaseEditModel' in mmengine_registry.MODELS.children['mmagic']
    assert {'EnhancementDataset', 'UnpairedDataset'} <= set(DATASETS.module_dict)

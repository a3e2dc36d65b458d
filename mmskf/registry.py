"""Registries of mmskf: children of mmengine's, filled lazily from ``locations``.

Types of other libraries need their prefix in a config: ``mmagic.BasicImageDataset``, ``mmseg.HRNet``.
There is a child for every node of mmengine, even if mmskf adds nothing to it: mmengine warns about a default scope that lacks
one.
"""
from mmengine import registry as mmengine_registry


def _child(name: str, *locations: str) -> mmengine_registry.Registry:
    parent = getattr(mmengine_registry, name)
    return mmengine_registry.Registry(
        parent.name, parent=parent, scope='mmskf', locations=[f'mmskf.{location}' for location in locations])


RUNNERS = _child('RUNNERS', 'engine')
RUNNER_CONSTRUCTORS = _child('RUNNER_CONSTRUCTORS', 'engine')
LOOPS = _child('LOOPS', 'engine')
HOOKS = _child('HOOKS', 'engine')
LOG_PROCESSORS = _child('LOG_PROCESSORS', 'engine')
OPTIMIZERS = _child('OPTIMIZERS', 'engine')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child('OPTIM_WRAPPER_CONSTRUCTORS', 'engine')
PARAM_SCHEDULERS = _child('PARAM_SCHEDULERS', 'engine')
DATASETS = _child('DATASETS', 'datasets.enhancement_dataset', 'datasets.unpaired_dataset')
DATA_SAMPLERS = _child('DATA_SAMPLERS', 'datasets')
TRANSFORMS = _child('TRANSFORMS', 'datasets.transforms')
MODELS = _child('MODELS', 'models')
MODEL_WRAPPERS = _child('MODEL_WRAPPERS', 'models')
WEIGHT_INITIALIZERS = _child('WEIGHT_INITIALIZERS', 'models')
TASK_UTILS = _child('TASK_UTILS', 'models')
METRICS = _child('METRICS', 'evaluation')
EVALUATOR = _child('EVALUATOR', 'evaluation')
VISUALIZERS = _child('VISUALIZERS', 'engine')
VISBACKENDS = _child('VISBACKENDS', 'engine')

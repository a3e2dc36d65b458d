"""Finds, reads and checks configs, for the tools and :func:`init_model`."""
import difflib
import fnmatch
import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from inspect import Parameter
from pathlib import Path
from types import NoneType
from typing import Any

import mmengine
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import _ParamScheduler
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from torch.utils.data import DataLoader

from mmskf import registry
from mmskf.utils.options import PARTS, item_index, kind_mismatch, merge_options, stage_dataloader

#: Name -> what is known about a field of a config: its default and its type.
Fields = dict[str, Parameter]

PACKAGE = Path(__file__).resolve().parents[1]
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
CONFIG_SUFFIXES = ('.py', '.yml', '.yaml', '.json')  # those that MMEngine reads
# Folders of the configs that are found by their bare name.
MODEL_FOLDERS = ('baseline', 'skf', 'simple')
#: What :func:`weights_of` says if the user has to give a checkpoint.
TO_BE_GIVEN = 'to be given'
# Fields of optim_wrapper that are for its constructor.
OF_CONSTRUCTOR = {'constructor', 'paramwise_cfg', *PARTS}
# Fields without a type -> what takes their content.
TAKEN_BY: dict[str, Callable] = {
    'compile': torch.compile, 'custom_imports': import_modules_from_strings, 'randomness': Runner.set_randomness}


def config_root() -> Path:
    """The folder of the configs: inside the package, where mmengine looks for them as well; in a checkout that is a link."""
    installed = PACKAGE / '.mim' / 'configs'
    return installed if installed.is_dir() else PACKAGE.parent / 'configs'


def model_index() -> list[dict]:
    """The models of ``model-index.yml`` in its order, as described by their metafiles; 'Metafile' names the file."""
    root = config_root().parent
    files = mmengine.load(root / 'model-index.yml')['Import']
    return [dict(model, Metafile=file) for file in files for model in mmengine.load(root / file)['Models']]


def indexed(config: str | Path) -> dict | None:
    """The entry of the model index for the file of a config; None if it has none."""
    path, root = Path(config).resolve(), config_root().parent
    return next((model for model in model_index() if (root / model['Config']).resolve() == path), None)


def weights_of(model: dict) -> str:
    """What a model in the index needs before it can be used: nothing, its checkpoint, or one of the user's."""
    if not model['Metadata'].get('Parameters'):
        return 'none needed'
    return model.get('Weights') or TO_BE_GIVEN


def indexed_weights(cfg: Config) -> str | None:
    """Path or URL of the weights that the index has for a config: those that mmskf ships, for instance."""
    model = indexed(cfg.filename) if cfg.filename else None
    return model.get('Weights') if model else None


def paired_layouts() -> dict[str, ConfigDict]:
    """The paired data sets of ``configs/_base_/datasets.py``: name -> folders, names and counts of 'train' and 'test'."""
    cfg = Config.fromfile(config_root() / '_base_' / 'datasets.py')
    return {name: value for name, value in cfg.items() if {'train', 'test'} <= set(value)}


def paired_kinds() -> dict[str, ConfigDict]:
    """:func:`paired_layouts` by the names that the data set converters have for them: 'paired' is 'paired_folder'."""
    return {name.removesuffix('_folder'): layout for name, layout in paired_layouts().items()}


def list_models(pattern: str = '*') -> list[str]:
    """Names of the models in the index, for :func:`init_model`, such as 'drbn_lol'.

    Args:
        pattern (str): Shell pattern that the names must match, such as 'drbn*'. Defaults to '*'.

    Returns:
        list[str]: Sorted names.
    """
    return sorted(fnmatch.filter([model['Name'] for model in model_index()], pattern))


def find_config(name: str | Path) -> Path:
    """The path of a config.

    Args:
        name (str | Path): Path, name below ``configs`` ('skb/hrnet_w18s_camvid'), or bare name of a config in
            ``configs/baseline``, ``configs/skf`` or ``configs/simple`` ('drbn_lol', 'clahe'), whether the model index has it or
            not.

    Raises:
        FileNotFoundError: If there is none; close names are given.
    """
    root = config_root()
    for path in (Path(name), root / f'{name}.py', *(root / folder / f'{name}.py' for folder in MODEL_FOLDERS)):
        if path.is_file():
            return path
    known = sorted(path.stem for folder in MODEL_FOLDERS for path in (root / folder).glob('*.py'))
    close = difflib.get_close_matches(Path(name).stem, known, n=3, cutoff=0.5)
    hint = f'Did you mean {" or ".join(close)}?' if close else f'Known models: {", ".join(known)}.'
    raise FileNotFoundError(f'There is no config or model called {str(name)!r}. {hint} A model needs no entry in the model index '
                            f'for its name, but a config in {" or ".join(str(root / folder) for folder in MODEL_FOLDERS)}')


def load_config(name: str | Path, options: dict | None = None, data_root: str | None = None) -> Config:
    """Reads a config and applies command-line options to it.

    Args:
        name (str | Path): Path or name of the config.
        options (dict, optional): Dotted fields and their values, as ``--cfg-options`` gives them; an item of a list is named
            by its index or its type ('train_dataloader.dataset.pipeline.RandomCrop.crop_size').
        data_root (str, optional): Where the images of every data set of the config are.

    Returns:
        Config: The config; its scope becomes the default one, so that ``mmengine`` builds its types.

    Raises:
        FileNotFoundError: Without such a config.
        ImportError: If a module of ``custom_imports`` cannot be imported.
        KeyError: If an option names a field that does not exist, or an item of a list that could be several.
        TypeError: If the value of an option is clearly not for its field.
        ValueError: If the file is no config, or one that is no valid Python.
    """
    path = find_config(name)
    if path.suffix not in CONFIG_SUFFIXES:
        raise ValueError(f'{path} is not a config: the name of one ends in {", ".join(CONFIG_SUFFIXES)}')
    try:
        cfg = Config.fromfile(path)
    except (AttributeError, NameError, SyntaxError, TypeError) as error:  # the code of the config fails
        raise ValueError(f'{path} or one of its _base_ files is not a valid config: {type(error).__name__}: {error}') from error
    options = options or {}
    imports = {option: value for option, value in options.items() if option.partition('.')[0] == 'custom_imports'}
    if imports:  # the other options may be about what these modules register
        check_options(cfg, imports)
        merge_options(cfg, imports)
        import_modules_from_strings(**cfg.custom_imports)
    # A default scope left by other code in this process would hide the config's.
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmskf')):
        check_options(cfg, options)
    init_default_scope(cfg.get('default_scope', 'mmskf'))
    merge_options(cfg, options)
    if data_root is not None:
        for dataset in datasets(cfg):
            dataset.data_root = str(data_root)
    return cfg


def datasets(cfg: Config) -> Iterator[ConfigDict]:
    """Every data set of a config, including those in lists of loaders, inside wrappers and of training stages."""

    def unwrapped(dataset: ConfigDict) -> Iterator[ConfigDict]:
        inner = dataset.get('datasets') or [dataset[name] for name in ['dataset'] if name in dataset]
        for part in inner:
            yield from unwrapped(part)
        if not inner:
            yield dataset

    for name in DATALOADERS:
        loaders: Any = cfg.get(name) or []
        several: list[Any] = [loaders] if isinstance(loaders, dict) else loaders
        for loader in several:
            yield from unwrapped(loader.dataset)
    for stage in (cfg.get('train_cfg') or {}).get('stages', []):
        dataset = stage.get('dataloader', {}).get('dataset', {})
        if 'data_root' in dataset:  # else it is that of train_dataloader
            yield dataset


def check_model(cfg: Config) -> None:
    """Rejects configs that describe no model, such as those of knowledge banks or data sets, or one that gets no data.

    Raises:
        ValueError: If the config has no ``model``, or a data preprocessor of mmagic behind a pipeline of mmskf.
    """
    if not cfg.get('model'):
        raise ValueError(f'{cfg.filename or "The config"} has no field `model`, so it describes no model: choose one of '
                         f'{" or ".join(f"configs/{folder}" for folder in MODEL_FOLDERS)}, or inherit from one by _base_')
    scope = cfg.get('default_scope', 'mmskf')
    preprocessor = _scoped_type(cfg.model.get('data_preprocessor'), scope)
    if preprocessor.startswith('mmagic.'):
        for dataset in datasets(cfg):
            *_, last = dataset.get('pipeline') or [None]
            if _scoped_type(last, scope) == 'mmskf.PackInputs':
                raise ValueError(f'model.data_preprocessor is {preprocessor}, which does not take the data samples that '
                                 f'PackInputs of mmskf makes in the pipeline of {dataset.get("data_root")!r}: end every '
                                 'pipeline with mmagic.PackInputs, or choose mmskf.EnhancementPreprocessor')


def _scoped_type(node: Any, scope: str) -> str:
    """The type of a config node with its scope, such as 'mmskf.PackInputs'; '' if it has no name."""
    kind = node.get('type') if isinstance(node, dict) else None
    if not isinstance(kind, str):
        return ''
    return kind if '.' in kind else f'{scope}.{kind}'


def check_trainable(cfg: Config) -> None:
    """Rejects methods without weights, which cannot be trained.

    Raises:
        ValueError: If the config has no training data.
    """
    if not cfg.get('train_dataloader'):
        raise ValueError(f'{cfg.filename} describes a method without weights, so there is nothing to train: test it with '
                         'tools/test.py, or enhance images with it')


def train_dataloader(cfg: Config) -> ConfigDict:
    """The training data loader of a config; with staged training, that of the last stage, which produces the image.

    Raises:
        ValueError: As :func:`check_trainable`.
    """
    check_trainable(cfg)
    stages = (cfg.get('train_cfg') or {}).get('stages')
    return stage_dataloader(cfg.train_dataloader, stages[-1]) if stages else cfg.train_dataloader


def bank_config(name: str | Path) -> ConfigDict:
    """The knowledge bank of a config such as those of ``configs/skb``.

    Raises:
        FileNotFoundError, ValueError...: As in :func:`load_config`; ValueError also if it has none.
    """
    bank = load_config(name).get('skb')
    if bank is None:
        raise ValueError(f'{name} has no skb, so it describes no knowledge bank: choose one of configs/skb')
    return bank


def first_test_dataloader(cfg: Config) -> ConfigDict:
    """The test data loader of a config; the first, if there are several."""
    loaders = cfg.test_dataloader
    return loaders if isinstance(loaders, dict) else loaders[0]


def use_unpaired(cfg: Config, root: str | Path) -> None:
    """Tests a config on photos without ground truth instead of its test set: see :func:`mmskf.datasets.unpaired_tests`.

    The model's data preprocessor must know that there is no ground truth: ``data_preprocessor.data_keys = None``.

    Args:
        cfg (Config): The config, changed in place.
        root (str | Path): Folder with one or more of the data sets MEF, LIME, NPE, DICM and VV.

    Raises:
        FileNotFoundError: If none of them is there.
    """
    from mmskf.datasets import unpaired_tests
    cfg.test_dataloader, cfg.test_evaluator = unpaired_tests(first_test_dataloader(cfg), root)
    cfg.test_cfg.type = 'mmagic.MultiTestLoop'


def check_options(cfg: Config, options: dict) -> None:
    """Rejects options for fields that are neither in the config nor accepted by the type that they would configure, and values
    that are clearly not for their field, such as text for a number.

    The fields of a dict without ``type`` are known for the Runner itself, data loaders and the fields ``TAKEN_BY``; others are
    accepted.

    Raises:
        KeyError: Names the option, and the available fields.
        TypeError: Names the option, its value, and what is expected.
    """
    for option, value in options.items():
        names = option.split('.')
        of_runner = _fields_of_runner()
        known: Fields | None = of_runner
        node: Any = cfg
        parameter: Parameter | None = None
        field = ''
        if names[0] in cfg and names[0] not in of_runner:
            raise KeyError(f'--cfg-options {option}: {names[0]!r} is only a name inside the config file, and was '
                           'copied when that was read. Change the field that it was copied to, such as model.skb.checkpoint or '
                           'train_dataloader.dataset.pipeline.RandomCrop.crop_size; --data-root sets where the images are')
        for name in names:
            parent = node
            if isinstance(node, (list, tuple)):
                try:
                    node, known = node[item_index(node, name)], None
                except KeyError as error:
                    raise KeyError(f'--cfg-options {option}: {error.args[0]}') from None
                continue
            if not isinstance(node, (Config, dict, NoneType)):
                raise TypeError(f'--cfg-options {option}: {field} is {node!r}, which has no fields')
            known = known or _fields_of(field, node)
            parameter = known.get(name) if known else None
            if node is not None and name in node:
                node = node[name]
            elif known is None or name in known:
                node = None
            else:
                close = difflib.get_close_matches(name, known, n=3) or sorted(known)
                raise KeyError(f'--cfg-options {option}: there is no field {name!r} here. '
                               f'Did you mean {" or ".join(close)}?')
            known, field = None, name
        if isinstance(parent, (list, tuple)):  # whose items may be of different kinds
            continue
        current = parameter.default if node is None and parameter else node
        expected = kind_mismatch(value, current, parameter and parameter.annotation)
        if expected:
            example = '' if isinstance(current, dict) else f', such as {current}'
            raise TypeError(f'--cfg-options {option}={value}: expected {expected}{example}')


def _names(*names: str, annotation: Any = Parameter.empty) -> Fields:
    """Fields without a default."""
    return {name: Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation) for name in names}


def _arguments(function: Callable) -> Fields:
    return {name: parameter for name, parameter in inspect.signature(function).parameters.items() if name != 'self'}


def _fields_of_runner() -> Fields:
    """The arguments of the Runner, the other fields that it looks up in its config, and those read with the config."""
    looked_up = re.findall(r"self\.cfg\.get\(\s*'(\w+)'", inspect.getsource(Runner))
    fields = {**_names(*looked_up, 'custom_imports'), **_arguments(Runner.__init__), **_names('resume', annotation=bool | str)}
    del fields['cfg']
    return fields


def _fields_of(field: str, node: Any) -> Fields | None:
    """The fields of a node that is the value, or an item of the value, of a field; None if they are unknown."""
    if field.endswith('dataloader'):
        own = re.findall(r"dataloader_cfg\.pop\(\s*'(\w+)'", inspect.getsource(Runner.build_dataloader))
        return {**_names(*own), **_arguments(DataLoader.__init__)}
    if field in TAKEN_BY:
        return _arguments(TAKEN_BY[field])
    return _fields_of_type(node)


def _fields_of_type(node: Any) -> Fields | None:
    """The arguments of the type of a config node; None if they are unknown."""
    if not isinstance(node, dict) or not isinstance(node.get('type'), str):
        return None
    for value in vars(registry).values():
        cls = value.get(node['type']) if isinstance(value, registry.mmengine_registry.Registry) else None
        if inspect.isclass(cls):
            break
    else:
        return None
    fields = _names(*node, *(OF_CONSTRUCTOR if 'optimizer' in node else ()))
    if issubclass(cls, _ParamScheduler):
        fields |= _names('convert_to_iter_based')  # for the function that builds schedules
    own: Fields = {}
    for base in cls.__mro__:
        if '__init__' in vars(base):
            arguments = _arguments(vars(base)['__init__'])
            own = arguments | own
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in arguments.values()):
                return fields | own
    return None


def optim_wrappers(cfg: Config) -> list[ConfigDict]:
    """The optimizer wrappers of a config; if they share one, this one and the overrides for single ones."""
    wrapper = cfg.get('optim_wrapper', {})
    if 'optimizer' in wrapper:
        return [wrapper, *(wrapper[part] for part in PARTS if wrapper.get(part))]
    return [value for value in wrapper.values() if isinstance(value, dict)]


def use_amp(cfg: Config) -> None:
    """Enables mixed precision: float16 with loss scaling on a GPU, bfloat16 on a CPU; in training and in testing."""
    gpu = torch.cuda.is_available()
    if not gpu and torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2'):
        warnings.warn('Mixed precision is slower than float32 on this CPU, often many times: it has no instructions for bfloat16 '
                      '(AVX512-BF16 or AMX). Omit --amp', stacklevel=2)
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic') if gpu else dict(type='mmskf.Bf16OptimWrapper')
    for wrapper in optim_wrappers(cfg):
        wrapper.update(amp)
    for loop in ('val_cfg', 'test_cfg'):
        if cfg.get(loop):
            cfg[loop].fp16 = True

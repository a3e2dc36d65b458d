"""Finding, reading and checking configs: what the tools and :func:`init_model` share."""
import difflib
import fnmatch
import inspect
import warnings
from pathlib import Path
from typing import Iterator, List, Optional, Union

import mmengine
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner import Runner

from mmskf import registry
from mmskf.engine.loops import stage_dataloader

PACKAGE = Path(__file__).resolve().parents[1]
DATALOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def config_root() -> Path:
    """The folder of the configs: beside the package in a checkout, inside it (``.mim``) where it was installed."""
    installed = PACKAGE / '.mim' / 'configs'
    return installed if installed.is_dir() else PACKAGE.parent / 'configs'


def model_index() -> List[dict]:
    """The models of ``model-index.yml`` in its order, as their metafiles describe them; 'Metafile' names the file."""
    root = config_root().parent
    files = mmengine.load(root / 'model-index.yml')['Import']
    return [dict(model, Metafile=file) for file in files for model in mmengine.load(root / file)['Models']]


def list_models(pattern: str = '*') -> List[str]:
    """Names of the models in the index, which :func:`init_model` builds, such as 'drbn_lol'.

    Args:
        pattern (str): Shell pattern that the names must match, such as 'drbn*'. Defaults to '*'.

    Returns:
        list[str]: Sorted names.
    """
    return sorted(fnmatch.filter([model['Name'] for model in model_index()], pattern))


def find_config(name: Union[str, Path]) -> Path:
    """The path of a config, given by path or by name ('drbn_lol', 'skb/hrnet_w18s').

    Raises:
        FileNotFoundError: If there is none; close names are given.
    """
    root = config_root()
    for path in (Path(name), root / f'{name}.py'):
        if path.is_file():
            return path
    indexed = {model['Name']: root.parent / model['Config'] for model in model_index()}
    if str(name) in indexed and indexed[str(name)].is_file():
        return indexed[str(name)]
    known = sorted(indexed)
    close = difflib.get_close_matches(Path(name).stem, known, n=3, cutoff=0.5)
    hint = f'Did you mean {" or ".join(close)}?' if close else f'Known models: {", ".join(known)}.'
    raise FileNotFoundError(f'There is no config or model called {str(name)!r}. {hint}')


def load_config(name: Union[str, Path], options: Optional[dict] = None, data_root: Optional[str] = None) -> Config:
    """Reads a config and applies what a command line says of it.

    Args:
        name (str | Path): Path or name of the config.
        options (dict, optional): Dotted fields and their values, as ``--cfg-options`` gives them.
        data_root (str, optional): Where the images of every data set of the config lie.

    Returns:
        Config: With its scope made the default one, so that ``mmengine`` builds its types.

    Raises:
        FileNotFoundError: Without such a config.
        KeyError: If an option names a field that does not exist.
    """
    cfg = Config.fromfile(find_config(name))
    # A default scope left by other code of this process would hide the config's.
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmskf')):
        check_options(cfg, options or {})
    init_default_scope(cfg.get('default_scope', 'mmskf'))
    cfg.merge_from_dict(options or {})
    if data_root is not None:
        for dataset in datasets(cfg):
            dataset.data_root = str(data_root)
    return cfg


def datasets(cfg: Config) -> Iterator[ConfigDict]:
    """Every data set of a config, also those in lists of loaders, inside wrappers and of single stages of a training."""
    for name in DATALOADERS:
        loaders = cfg.get(name) or []
        for loader in [loaders] if isinstance(loaders, dict) else loaders:
            dataset = loader.dataset
            while 'dataset' in dataset:
                dataset = dataset.dataset
            yield from dataset.get('datasets', [dataset])
    for stage in (cfg.get('train_cfg') or {}).get('stages', []):
        dataset = stage.get('dataloader', {}).get('dataset', {})
        if 'data_root' in dataset:  # else it is that of train_dataloader
            yield dataset


def train_dataloader(cfg: Config) -> ConfigDict:
    """The data loader that a config trains with; of a training in stages, that of the last one, which yields the image."""
    stages = (cfg.get('train_cfg') or {}).get('stages')
    return stage_dataloader(cfg.train_dataloader, stages[-1]) if stages else cfg.train_dataloader


def check_options(cfg: Config, options: dict):
    """Refuses options that name a field which is neither in the config nor taken by the type that it would configure.

    What is configured by a dict without ``type`` cannot be known and is let through.

    Raises:
        KeyError: Naming the option, and the fields there are.
    """
    for option in options:
        names = option.split('.')
        known, node = _fields_of_runner(), cfg
        if names[0] in cfg and names[0] not in known:
            raise KeyError(f'--cfg-options {option}: {names[0]!r} is only a name inside the config file, and was '
                           'copied when that was read. Change the field that it went to, such as model.skb.checkpoint or '
                           'train_dataloader.dataset.pipeline.2.crop_size; --data-root sets where the images lie')
        for name in names:
            if isinstance(node, (list, tuple)):
                if not name.isdigit() or int(name) >= len(node):
                    raise KeyError(f'--cfg-options {option}: {name!r} is no index of a list of {len(node)} items')
                node, known = node[int(name)], None
            elif node is not None and name in node:
                node, known = node[name], None
            else:
                known = known or _fields_of_type(node)
                if known is not None and name not in known:
                    close = difflib.get_close_matches(name, known, n=3) or sorted(known)
                    raise KeyError(f'--cfg-options {option}: there is no field {name!r} here. '
                                   f'Did you mean {" or ".join(close)}?')
                break


def _fields_of_runner():
    return {*inspect.signature(Runner.__init__).parameters, 'auto_scale_lr'} - {'self'}


def _fields_of_type(node):
    """Names of the arguments that the type of a config node takes; None where that cannot be known."""
    if not isinstance(node, dict) or not isinstance(node.get('type'), str):
        return None
    for value in vars(registry).values():
        cls = value.get(node['type']) if isinstance(value, registry.mmengine_registry.Registry) else None
        if inspect.isclass(cls):
            break
    else:
        return None
    fields = set(node)
    for base in cls.__mro__:
        if '__init__' in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            fields |= {parameter.name for parameter in parameters}
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
                return fields
    return None


def optim_wrappers(cfg: Config) -> List[ConfigDict]:
    """The wrapper of every optimizer of a config."""
    if 'optimizer' in cfg.get('optim_wrapper', {}):
        return [cfg.optim_wrapper]
    return [wrapper for wrapper in cfg.get('optim_wrapper', {}).values() if isinstance(wrapper, dict)]


def use_amp(cfg: Config):
    """Turns mixed precision on: float16 with loss scaling on a GPU, bfloat16 on a CPU; in training and in testing."""
    gpu = torch.cuda.is_available()
    if not gpu and torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2'):
        warnings.warn('Mixed precision is slower than float32 on this CPU, often many times: it has no instructions for bfloat16 '
                      '(AVX512-BF16 or AMX). Leave --amp out')
    amp = dict(type='AmpOptimWrapper', loss_scale='dynamic') if gpu else dict(type='mmskf.Bf16OptimWrapper')
    for wrapper in optim_wrappers(cfg):
        wrapper.update(amp)
    for loop in ('val_cfg', 'test_cfg'):
        if cfg.get(loop):
            cfg[loop].fp16 = True

"""Turns the authors' released weights into mmskf's, strictly: every key is renamed, dropped by name, or an error."""
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import save_checkpoint
from torch import Tensor

from mmskf.apis import find_config
from mmskf.registry import MODELS
from mmskf.version import __version__
from mmskf.weights import WeightsError, check_numbers, differences, read_state_dict

from .tensorflow import find_bundle, read_bundle, to_pytorch

StateDict = Dict[str, Tensor]


@dataclass(frozen=True)
class Conversion:
    """How the released weights of one method become mmskf's.

    Args:
        model (str): Config of the model that takes the weights, relative to ``configs/`` and without ending. The keys and
            shapes of its generator are what the result must have.
        renames (Sequence[tuple[str, str]]): Regular expressions and what replaces each; all are tried, in order.
        dead (Sequence[str]): Regular expressions of keys (full match, the authors' names) that influence nothing.
        parts (dict[str, str]): For methods released as one file a subnet: name of the part -> the prefix that its keys get
            before anything else. Defaults to one unnamed part.
        tensorflow (bool): The weights have TensorFlow's layout, see :func:`to_pytorch`. Defaults to False.
        prefix (str): What the keys begin with in the result. The segmentor of a knowledge bank (a config in ``skb/``) is
            written plainly, with ''.
    """
    model: str
    renames: Sequence[Tuple[str, str]] = ()
    dead: Sequence[str] = ()
    parts: Dict[str, str] = field(default_factory=lambda: {'': ''})
    prefix: str = 'generator.'
    tensorflow: bool = False

    def rename(self, state_dict: StateDict) -> StateDict:
        """The same tensors under mmskf's names, without the dead ones."""
        renamed = {}
        for key, value in state_dict.items():
            if any(re.fullmatch(pattern, key) for pattern in self.dead):
                continue
            for pattern, replacement in self.renames:
                key = re.sub(pattern, replacement, key)
            renamed[key] = value
        return to_pytorch(renamed) if self.tensorflow else renamed


def read_source(path: Union[str, Path]) -> StateDict:
    """Reads weights under the authors' names: a checkpoint of TensorFlow (``X``, ``X.index``), ``.npz``, or PyTorch's.

    Raises:
        FileNotFoundError: Without such a file.
        WeightsError: If it is damaged, or holds something else; it names the file.
    """
    index = find_bundle(path)
    if index:
        return read_bundle(index)
    if Path(path).suffix == '.npz':
        return read_npz(path)
    return read_state_dict(path)


def read_npz(path: Union[str, Path]) -> StateDict:
    """Reads the arrays of a file of numpy's, which has checksums.

    Raises:
        FileNotFoundError: Without such a file.
        WeightsError: If it is damaged, or holds something else than weights; it names the file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except FileNotFoundError:
        raise FileNotFoundError(f'There is no file {path}') from None
    except Exception as error:
        # Of numpy, zipfile and zlib: ValueError, KeyError, BadZipFile, EOFError, zlib.error, MemoryError...
        raise WeightsError(f'{path} is no file of arrays (.npz), or a damaged one, or holds Python objects, which are not loaded '
                           f'({error}): get it again') from error
    check_numbers(weights, str(path))
    return weights


def load_parts(conversion: Conversion, source: str, parts: Optional[Sequence[str]] = None) -> Dict[str, StateDict]:
    """Reads the parts of a method from a file, a folder (the files are named as the parts) or ``part=path,...``.

    A file is the part that is asked for, where ``parts`` names one, else the whole method.

    Raises:
        ValueError: If a name is no part of the method, or one file is given for a method of several parts.
    """
    known = [name for name in conversion.parts if name]
    if '=' in source:
        paths = dict(item.split('=', 1) for item in source.split(','))
    elif Path(source).is_dir():
        # Of the files of a TensorFlow checkpoint the index stands for all.
        paths = {path.stem: path for path in sorted(Path(source).iterdir())
                 if path.stem in conversion.parts and path.suffix != '.meta' and not path.suffix.startswith('.data-')}
        if not paths:
            raise ValueError(f'{source} holds none of the parts that this method has: {", ".join(known) or "a single file"}')
    else:
        part = parts[0] if parts and len(parts) == 1 else ''
        paths = {part if part in conversion.parts else '': source}
    unknown = [name for name in paths if name not in conversion.parts]
    if unknown:
        raise ValueError(f'This method has the parts {known or "(one file only)"}, not {unknown}. Give the weights as '
                         + (','.join(f'{name}=PATH' for name in known) if known else 'one file'))
    return {name: read_source(path) for name, path in paths.items()}


def check_strictly(converted: StateDict, expected: StateDict, parts: Optional[Sequence[str]]):
    """Compares keys and shapes; with ``parts`` only the keys below those names, the subnets, are expected.

    Raises:
        ValueError: If there is no such subnet, or naming what is missing, unexpected or of another shape.
    """
    subnets = list(dict.fromkeys(key.split('.')[0] for key in expected))
    unknown = [name for name in parts or () if name not in subnets]
    if unknown:
        raise ValueError(f'There is no subnet {" or ".join(unknown)} in this method; parts may be {", ".join(subnets)}')
    if parts:
        expected = {key: value for key, value in expected.items() if key.split('.')[0] in parts}
    problems = [f'{what}: {key}' for what, keys in differences(converted, expected).items() for key in keys]
    if problems:
        shown = '\n  '.join(problems[:20]) + (f'\n  ... and {len(problems) - 20} more' if len(problems) > 20 else '')
        raise ValueError(f'The weights do not fit this method ({len(problems)} keys):\n  {shown}')


def convert(conversion: Conversion, sources: Dict[str, StateDict], parts: Optional[Sequence[str]] = None) -> dict:
    """Converts weights under the authors' names into a checkpoint of mmskf.

    Args:
        conversion (Conversion): The table of the method.
        sources (dict): Name of the part -> its state dict under the authors' keys; the name is '' where there is one file.
        parts (Sequence[str], optional): Only these subnets are expected. Defaults to all.

    Returns:
        dict: ``{'state_dict': ..., 'meta': ...}``, as ``init_model`` and ``tools/test.py`` load it.

    Raises:
        ValueError: If a key is missing, unexpected or of another shape.
    """
    state_dict = {}
    for name, source in sources.items():
        state_dict.update({conversion.parts[name] + key: value for key, value in source.items()})
    converted = conversion.rename(state_dict)
    config = Config.fromfile(find_config(conversion.model))
    if conversion.prefix:
        expected = getattr(MODELS.build(config.model), conversion.prefix.rstrip('.'))
    else:
        expected = MODELS.build(config.skb).segmentor
    check_strictly(converted, expected.state_dict(), parts)
    return dict(
        state_dict={conversion.prefix + key: value for key, value in converted.items()},
        meta=dict(mmskf_version=__version__, config=conversion.model))


def save(checkpoint: dict, path):
    """Writes a converted checkpoint, whole or not at all, making the folder where it is absent."""
    save_checkpoint(checkpoint, str(path))

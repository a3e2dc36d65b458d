"""Converts the authors' released weights to mmskf's, strictly: every key is renamed, dropped by name, or an error."""
import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

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

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Conversion:
    """How to convert the released weights of a method to mmskf's.

    Args:
        model (str): Config of the model that the weights are for, relative to ``configs/`` and without extension. The result
            must have the keys and shapes of its generator.
        renames (Sequence[tuple[str, str]]): Regular expressions and their replacements; all are applied, in order.
        dead (Sequence[str]): Regular expressions of keys (full match, the authors' names) that have no effect.
        parts (dict[str, str]): For methods released as one file per subnet: name of the part -> the prefix that its keys get
            first. Defaults to one unnamed part.
        prefix (str): Prefix of the keys in the result. The segmentor of a knowledge bank (a config in ``skb/``) is written
            without one: ''.
        tensorflow (bool): Whether the weights have TensorFlow's layout, see :func:`to_pytorch`. Defaults to False.
    """
    model: str
    renames: Sequence[tuple[str, str]] = ()
    dead: Sequence[str] = ()
    parts: dict[str, str] = field(default_factory=lambda: {'': ''})
    prefix: str = 'generator.'
    tensorflow: bool = False

    def rename(self, state_dict: StateDict) -> StateDict:
        """The same tensors under mmskf's names, without the dead ones.

        Norms get a batch counter, 0, which TensorFlow and PyTorch before 0.4 do not have.
        """
        renamed = {}
        for key, value in state_dict.items():
            if any(re.fullmatch(pattern, key) for pattern in self.dead):
                continue
            for pattern, replacement in self.renames:
                key = re.sub(pattern, replacement, key)
            renamed[key] = value
        if self.tensorflow:
            renamed = to_pytorch(renamed)
        norms = [key.removesuffix('running_var') for key in renamed if key.endswith('.running_var')]
        return {**{f'{norm}num_batches_tracked': torch.tensor(0) for norm in norms}, **renamed}


def read_source(path: str | Path) -> StateDict:
    """Reads weights under the authors' names: a TensorFlow checkpoint (``X``, ``X.index``), ``.npz``, or a PyTorch checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged, or contains something else; names the file.
    """
    index = find_bundle(path)
    if index:
        return read_bundle(index)
    if Path(path).suffix == '.npz':
        return read_npz(path)
    return read_state_dict(path)


def read_npz(path: str | Path) -> StateDict:
    """Reads the arrays of a numpy file, which has checksums.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If it is damaged, or contains something other than weights; names the file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except FileNotFoundError:
        raise FileNotFoundError(f'There is no file {path}') from None
    except Exception as error:
        # From numpy, zipfile and zlib: ValueError, KeyError, BadZipFile, EOFError, zlib.error, MemoryError...
        raise WeightsError(f'{path} is not a file of arrays (.npz), or damaged, or contains Python objects, which are not loaded '
                           f'({error}): get it again') from error
    check_numbers(weights, str(path))
    return weights


def find_parts(conversion: Conversion, source: str, parts: Sequence[str] | None = None) -> dict[str, Path]:
    """Finds the parts of a method: a file, a folder (with files named after the parts) or ``part=path,...``.

    A single file is the requested part, if ``parts`` names one, else the whole method.

    Raises:
        ValueError: If a name is not a part of the method, or one file is given for a method with several parts.
    """
    known = [name for name in conversion.parts if name]
    if '=' in source:
        paths = {name: Path(path) for name, path in (item.split('=', 1) for item in source.split(','))}
    elif Path(source).is_dir():
        # Among the files of a TensorFlow checkpoint, the index stands for all.
        paths = {path.stem: path for path in sorted(Path(source).iterdir())
                 if path.stem in conversion.parts and path.suffix != '.meta' and not path.suffix.startswith('.data-')}
        if not paths:
            raise ValueError(f'{source} contains none of the parts of this method: {", ".join(known) or "a single file"}')
    else:
        part = parts[0] if parts and len(parts) == 1 else ''
        paths = {part if part in conversion.parts else '': Path(source)}
    unknown = [name for name in paths if name not in conversion.parts]
    if unknown:
        raise ValueError(f'This method has the parts {known or "(one file only)"}, not {unknown}. Give the weights as '
                         + (','.join(f'{name}=PATH' for name in known) if known else 'one file'))
    return paths


def source_files(path: Path) -> list[Path]:
    """The files that weights are read from: several if they are a TensorFlow checkpoint."""
    index = find_bundle(path)
    return [path] if index is None else sorted(index.parent.glob(f'{glob.escape(index.stem)}.*'))


def load_parts(conversion: Conversion, source: str, parts: Sequence[str] | None = None) -> dict[str, StateDict]:
    """Reads the parts of a method; arguments and errors are those of :func:`find_parts`."""
    return {name: read_source(path) for name, path in find_parts(conversion, source, parts).items()}


def check_strictly(converted: StateDict, expected: StateDict, parts: Sequence[str] | None) -> None:
    """Compares keys and shapes; with ``parts`` only the keys of the subnets named there are expected.

    Raises:
        ValueError: If there is no such subnet, or keys are missing, unexpected or of another shape; names them.
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
        raise ValueError(f'The weights do not match this method ({len(problems)} keys):\n  {shown}')


def convert(conversion: Conversion, sources: dict[str, StateDict], parts: Sequence[str] | None = None) -> dict:
    """Converts weights under the authors' names to an mmskf checkpoint.

    Args:
        conversion (Conversion): The table of the method.
        sources (dict): Name of the part -> its state dict under the authors' keys; the name is '' if there is one file.
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


def save(checkpoint: dict, path: str | Path) -> None:
    """Writes a converted checkpoint, completely or not at all, creating the folder if needed."""
    save_checkpoint(checkpoint, str(path))

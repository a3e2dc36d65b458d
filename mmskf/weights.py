"""Weight files: reads them safely, and compares them with what a model expects.

Nothing that is read here can run code, whatever the file. Files that are unreadable or not what is expected raise a
:class:`WeightsError`: one sentence that says which file it is, what is wrong, and what to do.
"""
import hashlib
import logging
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import safetensors.torch
import torch
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

PACKAGE = Path(__file__).parent
# Parts of an editor that a checkpoint may lack: the frozen knowledge bank has its own file, D is only for training.
OPTIONAL_PARTS = ('skb.', 'discriminator.')
CONVERTER = 'tools/model_converters/official_to_mmskf.py'
# Integers under these names are weights that somebody rounded; under others they are counters and indices.
FLOATS = ('weight', 'bias', 'running_mean', 'running_var')
OPTIMIZERS = ('optimizer', 'optimizers', 'optimizer_state_dict', 'optim')

MapLocation = str | torch.device | Callable | dict | None


class WeightsError(ValueError):
    """A file cannot be read, or does not contain the expected weights; one line, whatever names a damaged file contains."""

    def __init__(self, message: str):
        super().__init__(''.join(character if character.isprintable() else ' ' for character in message))


class RefusedPickleError(WeightsError, pickle.UnpicklingError):
    """A file would run code while being loaded."""


@CheckpointLoader.register_scheme('mmskf://', force=True)
def load_from_package(filename: str, map_location: MapLocation = None) -> Any:
    """Reads a checkpoint that mmskf ships: ``mmskf://models/skb/weights/...``, relative to the package."""
    path = PACKAGE / filename.removeprefix('mmskf://')
    check_digest(path)
    return load_file(path, map_location)


def load_from_local(filename: str, map_location: MapLocation = None) -> Any:
    """mmengine's entry point to :func:`load_file`."""
    return load_file(filename, map_location)


def load_file(path: str | Path, map_location: MapLocation = None, name: str | None = None, mmap: bool = False) -> Any:
    """Reads what ``torch.save`` wrote, without running code, and verifies its checksums, which PyTorch does not; or a file of
    safetensors, by its ending.

    ``TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1`` in the environment lets PyTorch run code that it finds.

    Args:
        path (str | Path): The file.
        map_location: As for ``torch.load``. Defaults to None.
        name (str, optional): The name of the file in errors. Defaults to its path.
        mmap (bool): Whether to leave tensors on the disk until they are used, unchecked. Defaults to False.

    Raises:
        FileNotFoundError: If there is no such file.
        RefusedPickleError: If loading it would run code.
        WeightsError: If it is damaged or something else.
    """
    path, name = Path(path).expanduser(), name or str(path)
    if not path.exists():
        raise FileNotFoundError(f'There is no file {name}')
    check_whole(path, name, checksums=not mmap)
    if path.suffix == '.safetensors':
        return _load_safetensors(path, name)
    try:
        return torch.load(path, map_location=map_location, mmap=mmap or None)
    except Exception as error:
        # torch can raise anything here: RuntimeError, KeyError, struct.error, AttributeError, MemoryError...
        refused = re.search(r'GLOBAL (\S+)', str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if refused:
            raise RefusedPickleError(
                f'Refused to load {name}: it holds {refused[1]}, which is no number but a piece of a program (a whole model, '
                'saved with its code, has such). The file may be hostile and do anything on this machine. Get its weights '
                "alone, saved by torch.save({'state_dict': model.state_dict()}, path), where you can; only if you trust "
                'who made it, set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 for one run') from None
        reason = re.sub(r'\s+', ' ', str(error).split('WeightsUnpickler error:')[-1]).strip()[:160]
        raise WeightsError(f'{name} is no checkpoint of PyTorch, or a damaged one ({type(error).__name__}: {reason}): get it '
                           'again from where it came') from None


def _load_safetensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:
        # SafetensorError, and OverflowError, KeyError... for some damaged files
        raise WeightsError(f'{name} is no file of safetensors, or a damaged one ({error}): get it again from where it '
                           'came') from None


def check_digest(path: Path) -> None:
    """Compares a file with the first digits of its SHA-256, if its name ends with them: ``NAME-1a2b3c4d.pth``.

    Files that users have named themselves are not checked: such an ending may be a date.

    Raises:
        WeightsError: If they differ.
    """
    expected = re.search(r'-([0-9a-f]{8,64})\.\w+$', path.name)
    if expected is None or not path.is_file():
        return
    with open(path, 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if not digest.startswith(expected[1]):
        raise WeightsError(f'{path} is damaged or was changed: its SHA-256 begins with {digest[:len(expected[1])]}, not with '
                           'what its name ends with. Get it again from where it came')


def check_whole(path: Path, name: str | None = None, checksums: bool = True) -> None:
    """Checks a file without loading it.

    Args:
        path (Path): The file.
        name (str, optional): Its name in errors. Defaults to its path.
        checksums (bool): Whether to read all of it and verify its checksums. Defaults to True.

    Raises:
        WeightsError: If it is incomplete, damaged, or obviously not a checkpoint.
    """
    fault = _fault_of(path, checksums)
    if fault:
        raise WeightsError(f'{name or path} {fault}')


def _fault_of(path: Path, checksums: bool) -> str | None:
    """What is wrong with a file, as far as can be told without PyTorch; None if nothing is."""
    if path.is_dir():
        return 'is a folder, and a checkpoint is one file: name the file in it'
    with open(path, 'rb') as file:
        head = file.read(512)
    if not head:
        return 'is empty: its download or the disk that it was written to failed; get it again'
    if head.lstrip()[:1] == b'<':
        return 'is a web page, not a checkpoint: the download needs a login or another address'
    if head.startswith(b'version https://git-lfs'):
        return 'is only a pointer to the checkpoint: fetch the file itself with git lfs pull'
    if not head.startswith(b'PK'):
        return None  # the format of torch < 1.6, which has no checksums, or an unknown one
    try:
        with zipfile.ZipFile(path) as archive:
            members = [Path(member).name for member in archive.namelist()]
            broken = archive.testzip() if checksums else None
    except Exception as error:
        # So can zipfile: BadZipFile, NotImplementedError, struct.error, zlib.error, OverflowError, UnicodeDecodeError...
        return f'is incomplete or damaged ({error}): copy or download it again'
    if broken:
        return f'is damaged: the checksum of {broken} in it is wrong; copy or download it again'
    if 'data.pkl' not in members:
        inside = ('arrays of numpy (.npz)' if any(member.endswith('.npy') for member in members) else
                  f'{len(members)} files, such as {members[0]}' if members else 'nothing')
        return f'is a zip archive of {inside}, without weights of PyTorch: unpack it, or convert it with {CONVERTER}'
    if 'constants.pkl' in members:
        return 'is a TorchScript program, not weights: save the state_dict of the model that it was made from'
    return None


def load_url(url: str, model_dir: str | None = None, map_location: MapLocation = None, progress: bool = True) -> Any:
    """Reads a checkpoint from the network, through PyTorch's cache; raises the same errors as :func:`load_file`."""
    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints'))
    path = folder / Path(urlparse(url).path).name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), progress=progress)
        except OSError as error:
            raise WeightsError(f'{url} cannot be downloaded ({error}): put the file at {path} by hand') from error
    check_digest(path)
    return load_file(path, map_location, f'{url} (in {path})')


def training_state(path: str | Path) -> dict:
    """The 'meta' of an MMEngine checkpoint from which training can resume: 'iter', 'time', 'seed'...

    Raises:
        FileNotFoundError, WeightsError: As in :func:`load_file`, or if the file contains no training state.
    """
    loaded = load_file(path, 'cpu', mmap=True)
    lacking = [part for part in ('meta', 'message_hub', 'optimizer') if not isinstance(loaded, dict) or part not in loaded]
    if lacking:
        raise WeightsError(f'{path} contains no training state (it has no {" and no ".join(lacking)}), so training cannot '
                           'resume from it: to start a new training from its weights, give it as --cfg-options load_from=PATH')
    return loaded['meta']


def weights_in(loaded: Any, name: str) -> dict[str, Tensor]:
    """The weights of a loaded file: a bare state dict or one under 'state_dict' or BasicSR's 'params', with or without 'module.'
    before the keys.

    Args:
        loaded: The contents of the file.
        name (str): Its name in errors.

    Raises:
        WeightsError: If that is something else, or contains invalid weights, see :func:`check_numbers`.
    """
    weights = loaded
    if isinstance(loaded, Mapping):
        weights = loaded['params'] if _is_state_dict(loaded.get('params')) else loaded.get('state_dict', loaded)
    if not isinstance(weights, Mapping):
        raise WeightsError(f'{name} holds a {type(weights).__name__}, not weights, which are a dict of tensors: save the '
                           'state_dict() of the model')
    if not weights:
        raise WeightsError(f'{name} holds no weights: the dict in it is empty')
    strangers = [key for key, value in weights.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if strangers:
        nested = [key for key in strangers if _is_state_dict(weights[key])]
        if nested:
            advice = f'The weights may be what is under {nested[0]!r}: save that alone, as dict(state_dict=...)'
        elif any(key in OPTIMIZERS for key in weights):
            advice = 'It is a training state without its model: give the file that was saved with it'
        else:
            advice = 'Save the state_dict() of the model'
        raise WeightsError(f'{name} holds more than weights: {strangers[0]!r} is a {type(weights[strangers[0]]).__name__}, not a '
                           f'tensor. {advice}')
    weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    check_numbers(weights, name)
    return weights


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def read_state_dict(checkpoint: str | Path) -> dict[str, Tensor]:
    """Reads weights: a bare state dict or one under 'state_dict' or BasicSR's 'params', with or without ``DataParallel``'s
    'module.'.

    Args:
        checkpoint (str | Path): Path, URL or ``mmskf://...``.

    Raises:
        FileNotFoundError: If there is no such file.
        RefusedPickleError: If loading would run code; also a ``pickle.UnpicklingError``.
        WeightsError: If the file is damaged, or contains something else.
    """
    return weights_in(CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent'), str(checkpoint))


def check_numbers(weights: Mapping[str, Tensor], name: str) -> None:
    """Rejects numbers that no network has, wherever weights are read.

    Raises:
        WeightsError: If a tensor has NaN, infinite or complex numbers, or integers where weights are expected, or is not a plain
            tensor; names the key.
    """
    for key, value in weights.items():
        fault: str | None = None
        if value.layout is not torch.strided or value.is_quantized or value.is_meta or value.is_nested:
            fault = 'no plain tensor (it is sparse, quantized or empty)'
        elif value.is_complex():
            fault = 'complex numbers'
        elif not value.is_floating_point():
            if key.rsplit('.', 1)[-1] in FLOATS:
                fault = f'integers ({value.dtype})'
        elif not value.isfinite().all():
            fault = f'{int((~value.isfinite()).sum())} of {value.numel()} numbers that are NaN or infinite'
        if fault:
            raise WeightsError(f'{name} is unusable: {key} in it has {fault}. Use an earlier checkpoint, or get the file again')


def differences(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """What is wrong with weights: 'missing', 'unexpected', 'of another shape', 'of another type' -> the keys, empty if
    nothing is. The type is floating point or not."""
    common = {key: (found[key], value) for key, value in expected.items() if key in found}
    return {
        'missing': [key for key in expected if key not in found],
        'unexpected': [key for key in found if key not in expected],
        'of another shape': [f'{key}: {tuple(one.shape)}, the model has {tuple(other.shape)}'
                             for key, (one, other) in common.items() if one.shape != other.shape],
        'of another type': [f'{key}: {one.dtype}, the model has {other.dtype}' for key, (one, other) in common.items()
                            if one.is_floating_point() != other.is_floating_point()]
    }


def select_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str,
                   partial: bool | None = None) -> dict[str, Tensor]:
    """The weights to load into a model: all of them, but knowledge bank and discriminator may be missing.

    Args:
        weights (Mapping[str, Tensor]): The weights in a file.
        expected (Mapping[str, Tensor]): The model's ``state_dict()``.
        name (str): The name of the file in errors.
        partial (bool, optional): If only some weights match, True takes these and reports their share; False raises an error
            that mentions the option. Defaults to None: like False, for callers without such an option.

    Raises:
        WeightsError: If keys are missing, unexpected, of another shape or type; with ``partial`` only if nothing matches.
    """
    required = {key: value for key, value in expected.items() if key in weights or not key.startswith(OPTIONAL_PARTS)}
    known = {key: value for key, value in weights.items() if key in expected or not key.startswith(OPTIONAL_PARTS)}
    wrong = differences(known, required)
    bank = {key: value for key, value in weights.items() if key.startswith('skb.')}
    if not any(wrong.values()):
        return {**known, **bank}
    fit = {key: value for key, value in known.items()
           if key in required and not any(differences({key: value}, {key: required[key]}).values())}
    found = '; '.join(f'{len(keys)} keys are {what} (such as {keys[0]})' for what, keys in wrong.items() if keys)
    if not fit:
        raise WeightsError(f'{name} holds the weights of another model: {found}. Nothing matches: give the config that it was '
                           f'trained with, or convert it first ({CONVERTER})')
    share = sum(value.numel() for value in fit.values()) / sum(value.numel() for value in required.values())
    part = f'{len(fit)} of the {len(required)} tensors of this model match, {share:.1%} of its numbers'
    if partial:
        print_log(f'{name} matches in part: {part}; the others are initialized randomly: {found}', logger='current',
                  level=logging.WARNING)
        return {**fit, **bank}
    advice = '' if partial is None else ', or start from the part that matches with --partial'
    raise WeightsError(f'{name} holds the weights of another model: {found}. {part}. Give the config that it was trained with, '
                       f'or convert it first ({CONVERTER}){advice}')

"""Fixes that the OpenMMLab stack needs on current PyTorch, numpy and huggingface_hub.

Each fix is one function that says why it exists and does nothing where it is not needed. :func:`apply_all` runs when ``mmskf``
is imported, before any part of mmagic or mmsegmentation. The rest of the package does not depend on these details.
"""
import functools
import importlib
import importlib.util
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import mmengine.config
import mmengine.hub
import numpy as np
import torch
from mmengine import fileio
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import activation_checkpointing, checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import digit_version, get_installed_path
from torch.utils import checkpoint as torch_checkpoint

from mmskf.utils.files import atomic_open
from mmskf.weights import load_from_local, load_url

MIN_TORCH = '2.6'


def require_safe_torch() -> None:
    """``torch.load`` refuses pickles that run code by default only since torch 2.6.

    Raises:
        ImportError: If torch is older.
    """
    if digit_version(torch.__version__) < digit_version(MIN_TORCH):
        raise ImportError(f'mmskf needs torch >= {MIN_TORCH} (older versions may run code when they load checkpoints), '
                          f'found torch {torch.__version__}: pip install -U torch torchvision')


def restore_numpy_bool8() -> None:
    """mmagic 1.2 uses ``numpy.bool8`` when it is imported; numpy 2 has dropped the name."""
    if not hasattr(np, 'bool8'):
        np.bool8 = np.bool_  # type: ignore[attr-defined]


def restore_cached_download() -> None:
    """diffusers 0.28 (imported by mmagic) imports ``cached_download``, which huggingface_hub 0.26 has dropped."""
    import huggingface_hub
    if not hasattr(huggingface_hub, 'cached_download'):
        huggingface_hub.cached_download = huggingface_hub.hf_hub_download


def keep_imports_quiet_and_local() -> None:
    """albumentations checks the network for a newer version of itself; others warn about their own imports."""
    os.environ.setdefault('NO_ALBUMENTATIONS_UPDATE', '1')
    warnings.filterwarnings('ignore', category=FutureWarning, module=r'diffusers\.')
    warnings.filterwarnings('ignore', message='`torch.jit.script`', category=FutureWarning)
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')


class _MissingOps(types.ModuleType):
    """Stands in for ``mmcv._ext`` while ``mmcv.ops`` is imported: each op exists, and explains what is missing when called."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args: Any, **kwargs: Any) -> NoReturn:
            raise RuntimeError(f'mmcv.ops needs its compiled op "{name}", but mmcv-lite is installed, which has none. mmskf '
                               'itself uses no compiled op; for a network that does, replace it by the full mmcv: '
                               'pip uninstall mmcv-lite && mim install "mmcv>=2.1.0,<2.2.0"')

        return missing_op


def import_ops_of_mmcv_lite() -> None:
    """mmagic and mmsegmentation import ``mmcv.ops``, which needs compiled code that mmcv-lite lacks.

    The stand-in is removed afterwards, since mmengine looks up ``mmcv._ext`` to find out whether mmcv is the full one.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = _MissingOps('mmcv._ext')
        try:
            import mmcv.ops  # noqa: F401
        finally:
            del sys.modules['mmcv._ext']


def keep_methods_out_of_checkpoints() -> None:
    """``HistoryBuffer`` pickles its methods, by ``getattr``, which would let a checkpoint access any attribute of any object.

    They need neither be saved nor loaded: it can recreate them.
    """

    def without_methods(state: Mapping) -> dict:
        return {name: value for name, value in state.items() if name != 'statistics_methods'}

    def restore(self: HistoryBuffer, state: dict) -> None:
        self._set_default_statistics()
        vars(self).update(without_methods(state))

    HistoryBuffer.__getstate__ = lambda self: without_methods(vars(self))
    HistoryBuffer.__setstate__ = restore


def allow_training_state_in_checkpoints() -> None:
    """A checkpoint of mmengine's Runner contains its log history: numpy numbers inside ``HistoryBuffer``.

    These classes only hold data, so ``torch.load(weights_only=True)`` may build them when training is resumed. A file written by
    plain mmengine asks for ``getattr``, and gets a substitute that knows only the four methods of ``HistoryBuffer``.
    """
    numpy2 = np.lib.NumpyVersion(np.__version__) >= '2.0.0'
    multiarray = importlib.import_module('numpy._core.multiarray' if numpy2 else 'numpy.core.multiarray')
    numbers = {type(np.dtype(number)) for number in '?bBhHiIlLqQefd'}
    # A checkpoint refers to numpy's functions by the module names of the numpy that wrote it: "numpy._core" is new in 2.0.
    functions = [(function, f'{module}.multiarray.{function.__name__}') for module in ('numpy.core', 'numpy._core')
                 for function in (multiarray._reconstruct, multiarray.scalar)]
    torch.serialization.add_safe_globals([HistoryBuffer, np.ndarray, np.dtype, *numbers, *functions,
                                          (_history_method, 'builtins.getattr')])


def _history_method(owner: Any, name: str) -> Callable:
    """Stands in for ``getattr`` while a checkpoint is loaded."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr of {name!r}')
    return getattr(HistoryBuffer, name)


def load_checkpoints_safely() -> None:
    """mmengine loads URLs with ``weights_only=False``, and torch's errors for unreadable files do not name the file."""
    # All of mmengine's URL loaders (http, torchvision://, open-mmlab://, ...) end up in this function.
    checkpoint.load_url = load_url
    CheckpointLoader.register_scheme('', load_from_local, force=True)


class AtomicLocalBackend(fileio.LocalBackend):
    """mmengine's local file backend, by which it and mmcv write checkpoints, pictures and dumps: completely or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes, see :func:`atomic_open`."""
        with atomic_open(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Writes text, see :func:`atomic_open`."""
        with atomic_open(filepath, 'w', encoding=encoding) as file:
            file.write(obj)


def write_files_whole() -> None:
    """mmengine and mmcv write in place, so a killed process or a full disk leaves half a file under the final name."""
    fileio.register_backend('local', AtomicLocalBackend, force=True, prefixes='')


def checkpoint_activations_of_any_input() -> None:
    """mmengine's ``activation_checkpointing`` takes PyTorch's older kind, by which a module whose inputs need no gradient gives
    none to its weights: they would never be trained. Nor does it take keywords.
    """

    def wrap_forward(forward: Callable) -> Callable:

        @functools.wraps(forward)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return torch_checkpoint.checkpoint(forward, *args, use_reentrant=False, **kwargs)

        return wrapper

    activation_checkpointing.wrap_forward = wrap_forward


def find_own_configs() -> None:
    """mmengine finds the configs of a list of packages, by ``'mmseg::...'``, and takes an editable install for a folder in
    site-packages.
    """
    MODULE2PACKAGE['mmskf'] = 'mmskf'
    for module in (mmengine.config.config, mmengine.hub.hub):
        module.get_installed_path = _installed_path


def _installed_path(package: str) -> str:
    """The folder of a package, as ``mmengine.utils.get_installed_path`` has it, but for this one."""
    return os.path.dirname(os.path.abspath(__file__)) if package == 'mmskf' else get_installed_path(package)


def apply_all() -> None:
    """Applies all fixes that act at import time, in the order of their dependencies."""
    require_safe_torch()
    restore_numpy_bool8()
    restore_cached_download()
    keep_imports_quiet_and_local()
    import_ops_of_mmcv_lite()
    keep_methods_out_of_checkpoints()
    allow_training_state_in_checkpoints()
    load_checkpoints_safely()
    write_files_whole()
    checkpoint_activations_of_any_input()
    find_own_configs()

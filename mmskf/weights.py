"""Weights as they lie in files: reading them, and comparing them with what a model expects."""
from pathlib import Path
from typing import Any, Dict, List, Mapping, Union

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

PACKAGE = Path(__file__).parent


@CheckpointLoader.register_scheme('mmskf://', force=True)
def load_from_package(filename: str, map_location: Any = None) -> Dict[str, Any]:
    """Reads a checkpoint that mmskf ships: ``mmskf://models/skb/weights/...``, relative to the package."""
    path = PACKAGE / filename.removeprefix('mmskf://')
    return CheckpointLoader.load_checkpoint(str(path), map_location, logger='silent')


def read_state_dict(checkpoint: Union[str, Path]) -> Dict[str, Tensor]:
    """Reads weights: a bare state dict or one under 'state_dict', with or without ``DataParallel``'s 'module.'.

    Args:
        checkpoint (str | Path): Path, URL or ``mmskf://...``.

    Raises:
        FileNotFoundError: Without such a file.
        pickle.UnpicklingError: Where loading would run code.
    """
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent')
    return {key.removeprefix('module.'): value for key, value in loaded.get('state_dict', loaded).items()}


def differences(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Dict[str, List[str]]:
    """What is wrong with weights: 'missing', 'unexpected', 'of another shape' -> the keys, empty where nothing is."""
    return {
        'missing': [key for key in expected if key not in found],
        'unexpected': [key for key in found if key not in expected],
        'of another shape': [f'{key}: {tuple(found[key].shape)}, the model has {tuple(value.shape)}'
                             for key, value in expected.items() if key in found and found[key].shape != value.shape]
    }

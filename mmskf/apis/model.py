from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmskf.registry import MODELS
from mmskf.weights import read_state_dict, select_weights

from .config import check_model, load_config


def init_model(config_or_name: str | Path | Config, checkpoint: str | None = None, device: str = 'cpu') -> nn.Module:
    """Builds a model from its config; reads nothing from disk or network except the given checkpoint.

    Args:
        config_or_name (str | Path | Config): A config, its path, or the name of a model (see :func:`list_models`).
        checkpoint (str, optional): Path or URL of the weights. Defaults to None: random weights, or none for a method without
            weights, such as 'clahe'.
        device (str): Device of the model. Defaults to 'cpu'.

    Returns:
        nn.Module: The editor, in eval mode, with the config as ``.cfg``.

    Raises:
        FileNotFoundError: If there is no such config or checkpoint.
        ValueError: If the config describes no model, the checkpoint belongs to another one, or there is no such device.
    """
    check_device(device)
    cfg = config_or_name if isinstance(config_or_name, Config) else load_config(config_or_name)
    check_model(cfg)
    model = MODELS.build(cfg.model)
    model.cfg = cfg
    if checkpoint is not None:
        load_weights(model, checkpoint)
    return model.to(device).eval()


def check_device(device: str | torch.device) -> None:
    """Rejects a device that is not there.

    Raises:
        ValueError: Names the mend.
    """
    try:
        torch.empty(0, device=device)
    except Exception as error:  # Each kind of device has its own.
        known = torch.cuda.device_count()
        reason = str(error).splitlines()[0].split('. ')[0]
        if str(device).startswith('cuda'):
            reason = f'PyTorch finds {known or "no"} graphics card{"s" * (known > 1)} that it can use'
        raise ValueError(f'The device {device} is not available ({reason}): choose cpu, or omit the device (--device)') from error


def has_weights(model: nn.Module) -> bool:
    """Whether a model needs a checkpoint: methods such as CLAHE do not."""
    return next(model.parameters(), None) is not None


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Loads a checkpoint strictly; only those of knowledge bank and discriminator may be missing.

    Args:
        model (nn.Module): The editor.
        checkpoint (str): Path or URL.

    Raises:
        FileNotFoundError: If there is no such file.
        WeightsError: If the file is damaged or not a checkpoint, or if keys are missing, unexpected, of another shape or type
            (the checkpoint of another model); also a ValueError.
    """
    weights = select_weights(read_state_dict(checkpoint), model.state_dict(), str(checkpoint))
    # mmengine's loader handles data-parallel wrappers; what may be missing was checked above.
    load_state_dict(model, weights, strict=False, logger='silent')

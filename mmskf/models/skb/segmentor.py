"""Building a segmentor of mmsegmentation that will never be trained, and reading its weights."""
import copy
import warnings
from typing import Dict, Optional

from mmengine import Config, DefaultScope
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmskf.weights import read_state_dict


def build_segmentor(config: Optional[str], changes: Optional[dict]) -> nn.Module:
    """Builds a segmentor for evaluation, without gradient, auxiliary heads and anything that would initialise it.

    Args:
        config (str, optional): A path, or ``'mmseg::...'`` for a config of mmsegmentation's own.
        changes (dict, optional): Merged into the ``model`` of the config, or the whole of it where there is no config.

    Raises:
        ValueError: If that is no segmentor, or one without a score for each class.
    """
    cfg = _read_config(config, changes)
    cfg.pop('auxiliary_head', None)
    _drop_initialisation(cfg)
    with DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        # What mmsegmentation says of its losses while it builds them is of no use here: nothing is trained.
        warnings.filterwarnings('ignore', message='``build_loss``|Default ``avg_non_ignore``')
        segmentor = revert_sync_batchnorm(MODELS.build(cfg))
    if segmentor.out_channels == 1:
        raise ValueError(f'{config or "skb.model"} has a single class score a pixel, from which no semantic map can be '
                         'made: set skb.model.decode_head.out_channels=2')
    for module in segmentor.modules():
        module.init_cfg = None
    segmentor.requires_grad_(False)
    segmentor.eval()
    return segmentor


def use_batch_statistics(segmentor: nn.Module):
    """Lets every BatchNorm normalise by the batch at hand, and leave its running statistics as they are."""
    for module in segmentor.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.track_running_stats = False


def load_strictly(segmentor: nn.Module, checkpoint: str, name: str):
    """Reads weights into a segmentor; those of auxiliary heads are left out, which only training needs.

    Args:
        segmentor (nn.Module): Takes the weights.
        checkpoint (str): Path, URL or ``mmskf://...``.
        name (str): What errors call the segmentor.

    Raises:
        RuntimeError: If the checkpoint cannot be read or is not that of the segmentor.
    """
    state_dict = _read_weights(checkpoint)
    for key, value in segmentor.state_dict().items():
        found = state_dict.get(key, value)
        if key.endswith('conv_seg.weight') and len(found) != len(value):
            raise RuntimeError(f'The weights in {checkpoint} know {len(found)} classes, the segmentor of {name} has '
                               f'{len(value)}: set skb.model.decode_head.num_classes={len(found)}, or give the weights that '
                               'belong to it')
    try:
        segmentor.load_state_dict(state_dict, strict=True)
    except RuntimeError as error:
        raise RuntimeError(f'The weights in {checkpoint} are not those of the segmentor of {name}. {error}') from None


def _read_weights(checkpoint: str) -> Dict[str, Tensor]:
    try:
        weights = read_state_dict(checkpoint)
    except Exception as error:
        raise RuntimeError(
            f'The semantic knowledge bank cannot read its weights from {checkpoint} ({error}). Set skb.checkpoint to a file '
            'that is there: a URL can be downloaded by hand on another machine, and converted weights are written by '
            'tools/model_converters. skb.checkpoint=None runs with random semantics') from error
    return {key: value for key, value in weights.items() if not key.startswith('auxiliary_head.')}


def _read_config(config: Optional[str], changes: Optional[dict]) -> dict:
    if config is None:
        if changes is None:
            raise ValueError('The semantic knowledge bank needs a segmentor: set skb.config or skb.model')
        cfg = Config(dict(model=copy.deepcopy(changes)))
    else:
        cfg = get_config(config) if '::' in config else Config.fromfile(config)
        cfg.merge_from_dict(dict(model=changes or {}))
    lacking = [field for field in ('backbone', 'decode_head') if field not in cfg.model]
    if lacking:
        raise ValueError(f'{config or "skb.model"} is no segmentor of mmsegmentation: its model has no '
                         f'{" and no ".join(lacking)}')
    return cfg.model


def _drop_initialisation(cfg):
    """Takes everything out that would download or overwrite weights: they come from the checkpoint alone."""
    if isinstance(cfg, dict):
        for field in ('pretrained', 'init_cfg'):
            cfg.pop(field, None)
        for value in cfg.values():
            _drop_initialisation(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            _drop_initialisation(value)

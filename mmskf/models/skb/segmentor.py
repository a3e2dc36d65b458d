"""Builds an mmsegmentation segmentor that will never be trained."""
import copy
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mmengine import Config, DefaultScope
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor

# Other OpenMMLab packages that parts of mmsegmentation import, and the requirement that pip installs them by.
COMPANIONS = dict(mmdet='mmdet>=3.3,<3.4', mmpretrain='mmpretrain>=1.2,<1.3')
HEADS_OF_MMDET = ('MaskFormerHead', 'Mask2FormerHead')

# mmsegmentation suggests other image sizes at every resize with aligned corners, which the authors of HRNet chose.
warnings.filterwarnings('ignore', message='When align_corners=True, the output would more aligned', module=r'mmseg\.')


def build_segmentor(config: str | None, changes: dict | None) -> 'BaseSegmentor':
    """Builds a segmentor without auxiliary heads and without anything that would initialize it.

    Args:
        config (str, optional): A path, or ``'mmseg::...'`` for a config of mmsegmentation's own.
        changes (dict, optional): Merged into the ``model`` of the config, or all of it if there is no config.

    Raises:
        ValueError: If the result is not a segmentor, or has no score per class.
        ImportError: If it needs another OpenMMLab package, which is not installed.
    """
    cfg = _read_config(config, changes)
    name = config or 'skb.model'
    _require(name, [kind.split('.')[0] if '.' in kind else 'mmdet' for kind in _types(cfg)
                    if kind.split('.')[0] in (*COMPANIONS, *HEADS_OF_MMDET)])
    cfg.pop('auxiliary_head', None)
    _drop_initialization(cfg)
    with DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        # mmsegmentation's warnings about its losses are irrelevant here: nothing is trained.
        warnings.filterwarnings('ignore', message='``build_loss``|Default ``avg_non_ignore``')
        segmentor = revert_sync_batchnorm(MODELS.build(cfg))
    if segmentor.out_channels == 1:
        raise ValueError(f'{name} has a single class score per pixel, from which no semantic map can be '
                         'made: set skb.model.decode_head.out_channels=2')
    from mmseg.models.utils import Upsample  # mmsegmentation has just been imported, by its registry
    for module in segmentor.modules():
        module.init_cfg = None
        for name, child in module.named_children():
            if isinstance(child, Upsample) and isinstance(child.scale_factor, float) and child.scale_factor.is_integer():
                setattr(module, name, IntegerUpsample(int(child.scale_factor), child.mode, child.align_corners))
    return segmentor


class IntegerUpsample(nn.Module):
    """mmsegmentation's ``Upsample`` for whole factors; that one computes its size with floats, which cannot be exported.

    Shape:
        (N, C, H, W) -> (N, C, factor * H, factor * W)
    """

    def __init__(self, factor: int, mode: str, align_corners: bool | None):
        super().__init__()
        self.factor, self.mode, self.align_corners = factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        size = [self.factor * side for side in x.shape[-2:]]
        return F.interpolate(x, size, mode=self.mode, align_corners=self.align_corners)


def _read_config(config: str | None, changes: dict | None) -> dict:
    if config is None:
        if changes is None:
            raise ValueError('The semantic knowledge bank needs a segmentor: set skb.config or skb.model')
        cfg = Config(dict(model=copy.deepcopy(changes)))
    else:
        try:
            cfg = get_config(config) if '::' in config else Config.fromfile(config)
        except ImportError as error:  # from its custom_imports
            _require(config, [package for package in COMPANIONS if package in str(error)])
            raise
        cfg.merge_from_dict(dict(model=changes or {}))
    lacking = [field for field in ('backbone', 'decode_head') if field not in cfg.model]
    if lacking:
        raise ValueError(f'{config or "skb.model"} is not an mmsegmentation segmentor: its model has no '
                         f'{" and no ".join(lacking)}')
    return cfg.model


def _require(config: str, packages: Sequence[str]) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(f'{config} needs the package {package}, which is not installed: '
                              f'pip install "{COMPANIONS[package]}"')


def _types(cfg: Any) -> Iterator[str]:
    """All types that a config names, at any depth."""
    if isinstance(cfg, dict):
        yield str(cfg.get('type'))
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            yield from _types(value)


def _drop_initialization(cfg: Any) -> None:
    """Removes everything that would download or overwrite weights: they come from the checkpoint alone."""
    if isinstance(cfg, dict):
        for field in ('pretrained', 'init_cfg'):
            cfg.pop(field, None)
        for value in cfg.values():
            _drop_initialization(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            _drop_initialization(value)

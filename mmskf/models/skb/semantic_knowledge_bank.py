import copy
import warnings
from pathlib import Path
from typing import Dict, List, Optional, Tuple, Union

import mmskf
import torch
import torch.nn.functional as F
from mmcv import cnn
from mmengine import Config, DefaultScope
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.registry import MODELS as MMSEG_MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

LOG_OFFSET = 1e-3
PROBE_SIZE = 64
AUTOCAST = {'bf16': torch.bfloat16, 'fp16': torch.float16}


@CheckpointLoader.register_scheme('mmskf://', force=True)
def load_from_package(filename, map_location=None, logger=None):
    """Reads a checkpoint that mmskf ships: ``mmskf://models/skb/weights/...``, relative to the package."""
    path = Path(mmskf.__file__).parent / filename.removeprefix('mmskf://')
    return CheckpointLoader.load_checkpoint(str(path), map_location, logger)


@MODELS.register_module()
class SemanticKnowledgeBank(nn.Module):
    """The semantic knowledge bank (SKF, Sec. 3.1 and Eq. 1): a frozen segmentation network that yields semantic priors.

    Any segmentor of mmsegmentation can be the bank. Nothing of it is trained, initialised, averaged or saved with the model
    that owns it: the segmentor is no registered submodule, so that optimizers, ``Runner.train``, EMA, DDP and
    checkpoints do not see it, and copies of the owner share it. ``.to(...)``, ``.cuda()`` and ``.half()`` reach it.

    Building reads no weights. They are read when they are first needed, or by :meth:`load`.

    No graph is built unless the image needs gradient; then it flows through the bank to the image.

    Args:
        config (str, optional): Configuration of the segmentor: a path, or ``'mmseg::...'`` for one of mmsegmentation's own.
        model (dict, optional): The segmentor itself, or where ``config`` is given what to change in its ``model``. Types
            without a prefix are mmsegmentation's.
        checkpoint (str, optional): Path, URL or ``mmskf://...`` of the segmentor's weights. Defaults to None: random ones.
        input (str): What the segmentor looks at: 'linear' is the image, 'log' is log(max(x + 1e-3, 1e-3)), as the released
            code of LLFlow has it. Defaults to 'linear'.
        mean_std (str, optional): 'model' brings the image to 0..255 and normalises it by mean and std of the segmentor's own
            data preprocessor; None feeds it as it is, as all released code of SKF does. Defaults to 'model'.
        size_divisor (int): The image is padded at the bottom and on the right (edge values repeated) to multiples of this,
            and what the segmentor says of the padding is cut off. Defaults to 1.
        num_features (int): Feature maps that the backbone must yield. Defaults to 4.
        bn (str): 'eval' normalises by the running statistics, 'batch' by those of the batch, as the released code of LLFlow
            does; the running statistics never change. Defaults to 'eval'.
        fuse_conv_bn (bool): Folds BatchNorms into the convolutions before them when the weights are read. Defaults to False.
        channels_last (bool): Runs in the channels-last memory format. Defaults to False.
        autocast (str, optional): 'bf16' or 'fp16' computes in it and returns the image's type. Defaults to None: as the
            surrounding code says.
        save_weights (bool): The owner's checkpoint holds the weights, and they are taken from there. Defaults to False.

    Shape:
        (N, 3, H, W), RGB in [0, 1] -> SemanticPrior: features (N, C_i, h_i, w_i), finest first; logits (N, classes, H, W).

    Raises:
        ValueError: If the configuration names no segmentor, its feature maps are not what is expected, or options exclude
            each other.
    """

    def __init__(self,
                 config: Optional[str] = None,
                 model: Optional[dict] = None,
                 checkpoint: Optional[str] = None,
                 input: str = 'linear',
                 mean_std: Optional[str] = 'model',
                 size_divisor: int = 1,
                 num_features: int = 4,
                 bn: str = 'eval',
                 fuse_conv_bn: bool = False,
                 channels_last: bool = False,
                 autocast: Optional[str] = None,
                 save_weights: bool = False):
        super().__init__()
        _check_choice('input', input, ('linear', 'log'))
        _check_choice('mean_std', mean_std, ('model', None))
        _check_choice('bn', bn, ('eval', 'batch'))
        _check_choice('autocast', autocast, (*AUTOCAST, None))
        if input == 'log' and mean_std is not None:
            raise ValueError("skb.input='log' needs skb.mean_std=None: mean and std are those of linear images")
        if fuse_conv_bn and (bn == 'batch' or save_weights):
            raise ValueError("skb.fuse_conv_bn=True leaves no BatchNorm: set skb.bn='eval' and skb.save_weights=False, "
                             'or skb.fuse_conv_bn=False')
        self.config = config
        self.checkpoint = checkpoint
        self.input = input
        self.mean_std = mean_std
        self.size_divisor = size_divisor
        self.fuse_conv_bn = fuse_conv_bn
        self.channels_last = channels_last
        self.autocast = autocast
        self.save_weights = save_weights
        self.loaded = False
        # In a tuple it is no submodule: parameters(), state_dict(), init_weights() and train() of the owner pass it by.
        self._frozen = (_build_frozen(_read_config(config, model), config), )
        self._check_normalisation()
        self.channels, self._strides = self._probe(num_features)
        if bn == 'batch':
            _use_batch_statistics(self.segmentor)

    @property
    def segmentor(self) -> nn.Module:
        """The segmentation network."""
        return self._frozen[0]

    @property
    def num_classes(self) -> int:
        """Classes of the semantic map."""
        return self.channels['logits']

    def forward(self, image: Tensor) -> SemanticPrior:
        """What the bank knows of images (N, 3, H, W), RGB in [0, 1].

        Raises:
            RuntimeError: If the checkpoint cannot be read or does not fit, at the first call.
        """
        if not self.loaded:
            self.load()
        height, width = image.shape[-2:]
        x = self._prepare(image)
        if self.autocast is None:
            features, logits = self._segment(x)
        else:
            with torch.autocast(image.device.type, AUTOCAST[self.autocast]):
                features, logits = self._segment(x)
            features, logits = [feature.to(image.dtype) for feature in features], logits.to(image.dtype)
        features = tuple(feature[..., :-(-height // stride), :-(-width // stride)]
                         for feature, stride in zip(features, self._strides))
        return SemanticPrior(features, logits[..., :height, :width])

    @torch.inference_mode(False)  # Tensors made in inference mode could not pass a gradient on to the image later.
    def load(self):
        """Reads the weights, strictly; heads that only training needs (``auxiliary_head``) are left out.

        Raises:
            RuntimeError: If the checkpoint cannot be read or does not fit the segmentor.
        """
        if self.checkpoint is None:
            warnings.warn('The semantic knowledge bank has no checkpoint, so that its semantics are random and say nothing of '
                          'the image: set skb.checkpoint to the weights of the segmentation network')
        else:
            self._load_strictly(self._read_checkpoint())
        if self.fuse_conv_bn:
            cnn.fuse_conv_bn(self.segmentor).requires_grad_(False)
        if self.channels_last:
            self.segmentor.to(memory_format=torch.channels_last)
        self.loaded = True

    def _read_checkpoint(self) -> Dict[str, Tensor]:
        try:
            checkpoint = CheckpointLoader.load_checkpoint(str(self.checkpoint), map_location='cpu', logger='silent')
        except Exception as error:
            raise RuntimeError(
                f'The semantic knowledge bank cannot read its weights from {self.checkpoint} ({error}). Set skb.checkpoint to a '
                'file that is there: a URL can be downloaded by hand on another machine, and converted weights are written by '
                'tools/model_converters. skb.checkpoint=None runs with random semantics') from error
        state_dict = checkpoint.get('state_dict', checkpoint)
        state_dict = {key.removeprefix('module.'): value for key, value in state_dict.items()}
        return {key: value for key, value in state_dict.items() if not key.startswith('auxiliary_head.')}

    def _load_strictly(self, state_dict: Dict[str, Tensor]):
        expected = self.segmentor.state_dict()
        for key in expected:
            if key.endswith('conv_seg.weight') and key in state_dict and len(state_dict[key]) != len(expected[key]):
                raise RuntimeError(
                    f'The weights in {self.checkpoint} know {len(state_dict[key])} classes, the segmentor of '
                    f'{self.config or "skb.model"} has {len(expected[key])}: set skb.model.decode_head.num_classes='
                    f'{len(state_dict[key])}, or give the weights that belong to this segmentor')
        try:
            self.segmentor.load_state_dict(state_dict, strict=True)
        except RuntimeError as error:
            raise RuntimeError(f'The weights in {self.checkpoint} are not those of the segmentor of '
                               f'{self.config or "skb.model"}. {error}') from None

    def _check_normalisation(self):
        if self.mean_std == 'model' and not hasattr(self.segmentor.data_preprocessor, 'mean'):
            raise ValueError(f'The segmentor of {self.config or "skb.model"} has no data_preprocessor with mean and std: give '
                             'it one, or set skb.mean_std=None to feed it the image in [0, 1]')

    def _prepare(self, image: Tensor) -> Tensor:
        if self.input == 'log':
            image = torch.log((image + LOG_OFFSET).clamp(min=LOG_OFFSET))
        if self.mean_std == 'model':
            preprocessor = self.segmentor.data_preprocessor
            if not preprocessor.channel_conversion:
                image = image.flip(1)  # The segmentor was trained on what mmcv reads: BGR.
            image = (image * 255 - preprocessor.mean) / preprocessor.std
        height, width = image.shape[-2:]
        padding = (0, -width % self.size_divisor, 0, -height % self.size_divisor)
        if any(padding):
            image = F.pad(image, padding, mode='replicate')
        return image.contiguous(memory_format=torch.channels_last) if self.channels_last else image

    def _segment(self, x: Tensor) -> Tuple[List[Tensor], Tensor]:
        # Segmentors differ in how they get from features to logits, but each has a backbone: its output is taken in passing.
        features = []
        hook = self.segmentor.backbone.register_forward_hook(lambda module, inputs, output: features.extend(output))
        size = tuple(x.shape[-2:])
        try:
            logits = self.segmentor.encode_decode(x, [dict(img_shape=size, ori_shape=size, pad_shape=size)])
        finally:
            hook.remove()
        return features, logits

    @torch.no_grad()
    def _probe(self, num_features: int) -> Tuple[Dict[Union[int, str], int], List[int]]:
        """Channels of all maps and strides of the features, seen on a small black image."""
        features, logits = self._segment(torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE))
        name = type(self.segmentor.backbone).__name__
        shapes = [tuple(feature.shape[1:]) for feature in features]
        if len(shapes) != num_features or any(len(shape) != 3 for shape in shapes):
            raise ValueError(
                f'The backbone {name} of {self.config or "skb.model"} yields {len(shapes)} feature maps {shapes} (channels, '
                f'height, width), expected {num_features}: set its out_indices by skb.model.backbone, or skb.num_features')
        strides = [PROBE_SIZE // shape[1] for shape in shapes]
        if strides != sorted(strides):
            raise ValueError(f'The feature maps of the backbone {name} of {self.config or "skb.model"} have the strides {strides}, '
                             'expected the finest first: change its out_indices by skb.model.backbone')
        return {**{i: shape[0] for i, shape in enumerate(shapes)}, 'logits': logits.shape[1]}, strides

    def _apply(self, fn, *args, **kwargs):
        self.segmentor._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def __deepcopy__(self, memo):
        return self  # Nothing in it ever changes, so that an averaged copy of the owner shares it.

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        if self.save_weights:
            if not self.loaded:
                self.load()
            self.segmentor.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        # Without save_weights, keys of a checkpoint that holds a bank are none of its business.
        own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        if self.save_weights and own:
            missing, unexpected = self.segmentor.load_state_dict(own, strict=False)
            missing_keys.extend(prefix + key for key in missing)
            unexpected_keys.extend(prefix + key for key in unexpected)
            self.loaded = True

    def extra_repr(self) -> str:
        return (f'{type(self.segmentor.backbone).__name__}, config={self.config}, checkpoint={self.checkpoint}, '
                f'channels={self.channels}')


def _check_choice(field, value, choices):
    if value not in choices:
        raise ValueError(f'skb.{field}={value!r} is unknown, expected one of {choices}')


def _read_config(config: Optional[str], changes: Optional[dict]) -> dict:
    """The segmentor's ``model`` dict, with changes merged into it."""
    if config is None:
        if changes is None:
            raise ValueError('The semantic knowledge bank needs a segmentor: set skb.config or skb.model')
        cfg = Config(dict(model=copy.deepcopy(changes)))
    else:
        cfg = get_config(config) if '::' in config else Config.fromfile(config)
        if changes is not None:
            cfg.merge_from_dict(dict(model=changes))
    model = cfg.get('model') or {}
    lacking = [field for field in ('backbone', 'decode_head') if field not in model]
    if lacking:
        raise ValueError(f'{config or "skb.model"} is no segmentor of mmsegmentation: its model has no {" and no ".join(lacking)}')
    model.pop('auxiliary_head', None)
    _drop_initialisation(model)
    return model


def _drop_initialisation(cfg):
    """Takes everything out that would download or overwrite weights: the bank's come from its checkpoint alone."""
    if isinstance(cfg, dict):
        for field in ('pretrained', 'init_cfg'):
            cfg.pop(field, None)
        for value in cfg.values():
            _drop_initialisation(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            _drop_initialisation(value)


def _build_frozen(cfg: dict, config: Optional[str]) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmseg'), warnings.catch_warnings():
        # What mmsegmentation says of its losses while it builds them is of no use here: the bank has no loss.
        warnings.filterwarnings('ignore', message='``build_loss``|Default ``avg_non_ignore``')
        segmentor = revert_sync_batchnorm(MMSEG_MODELS.build(cfg))
    if segmentor.out_channels == 1:
        raise ValueError(f'{config or "skb.model"} has a single class score a pixel, from which no semantic map can be made: set '
                         'skb.model.decode_head.out_channels=2')
    for module in segmentor.modules():
        module.init_cfg = None
    segmentor.requires_grad_(False)
    segmentor.eval()
    return segmentor


def _use_batch_statistics(segmentor: nn.Module):
    for module in segmentor.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.track_running_stats = False

import warnings
from typing import Dict, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmcv import cnn
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior
from mmskf.utils.image import log_image, swap_rgb

from .segmentor import build_segmentor, load_strictly, use_batch_statistics

PROBE_SIZE = 64
AUTOCAST = {'bf16': torch.bfloat16, 'fp16': torch.float16}


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
        input (str): What the segmentor looks at: 'linear' is the image, 'log' is its :func:`log_image`, as the released
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
        save_weights (bool): The owner's checkpoint holds the weights, once they were read, and they are taken from there.
            Defaults to False.

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
        self.name = config or 'skb.model'
        self.checkpoint = checkpoint
        self.bn = bn
        self.input = input
        self.mean_std = mean_std
        self.size_divisor = size_divisor
        self.fuse_conv_bn = fuse_conv_bn
        self.channels_last = channels_last
        self.autocast = autocast
        self.save_weights = save_weights
        self.loaded = False
        # In a tuple it is no submodule: parameters(), state_dict(), init_weights() and train() of the owner pass it by.
        self._frozen = (build_segmentor(config, model), )
        self._check_normalisation()
        self.channels, self._strides = self._probe(num_features)
        if channels_last:
            self.segmentor.to(memory_format=torch.channels_last)
        if bn == 'batch':
            use_batch_statistics(self.segmentor)

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
            ValueError: If the image is too small for ``bn='batch'``.
        """
        if not self.loaded:
            self.load()
        height, width = image.shape[-2:]
        x = self._prepare(image)
        self._check_size(x)
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
            warnings.warn('The semantic knowledge bank has no checkpoint, so that its semantics are random and say nothing '
                          'of the image: set skb.checkpoint to the weights of the segmentation network')
        else:
            load_strictly(self.segmentor, str(self.checkpoint), self.name)
        if self.fuse_conv_bn:
            cnn.fuse_conv_bn(self.segmentor).requires_grad_(False)
        self.loaded = True

    def _check_normalisation(self):
        if self.mean_std == 'model' and not hasattr(self.segmentor.data_preprocessor, 'mean'):
            raise ValueError(f'The segmentor of {self.name} has no data_preprocessor with mean and std: give it one, or '
                             ' set skb.mean_std=None to feed it the image in [0, 1]')

    def _check_size(self, x: Tensor):
        stride = self._strides[-1]
        if self.bn == 'batch' and max(x.shape[-2:]) <= stride and len(x) == 1:
            raise ValueError(f"skb.bn='batch' normalises by the statistics of the batch, and one image of {x.shape[-1]}x"
                             f'{x.shape[-2]} pixels has a single value a channel at 1/{stride} resolution: give a larger '
                             "image, or set skb.bn='eval'")

    def _prepare(self, image: Tensor) -> Tensor:
        if self.input == 'log':
            image = log_image(image)
        if self.mean_std == 'model':
            preprocessor = self.segmentor.data_preprocessor
            if not preprocessor.channel_conversion:
                image = swap_rgb(image)  # The segmentor was trained on what mmcv reads: BGR.
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
                f'The backbone {name} of {self.name} yields {len(shapes)} feature maps {shapes} (channels, height, width), '
                f'expected {num_features}: set its out_indices by skb.model.backbone, or skb.num_features')
        strides = [PROBE_SIZE // shape[1] for shape in shapes]
        if strides != sorted(strides):
            raise ValueError(f'The feature maps of the backbone {name} of {self.name} have the strides {strides}, expected '
                             'the finest first: change its out_indices by skb.model.backbone')
        return {**{i: shape[0] for i, shape in enumerate(shapes)}, 'logits': logits.shape[1]}, strides

    def _apply(self, fn, *args, **kwargs):
        self.segmentor._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def __deepcopy__(self, memo):
        return self  # Nothing in it ever changes, so that an averaged copy of the owner shares it.

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        # Before they are first needed there is nothing to save: listing the keys of a model must not read a file.
        if self.save_weights and self.loaded:
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
        return (f'{type(self.segmentor.backbone).__name__}, config={self.name}, checkpoint={self.checkpoint}, '
                f'channels={self.channels}')


def _check_choice(field, value, choices):
    if value not in choices:
        raise ValueError(f'skb.{field}={value!r} is unknown, expected one of {choices}')

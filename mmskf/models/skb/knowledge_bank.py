"""The base class of all knowledge banks, whichever library their networks come from."""
import hashlib
import importlib
import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from mmcv import cnn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmskf.structures import SemanticPrior
from mmskf.utils.image import log_image
from mmskf.weights import read_state_dict

# Sides of the black images that a network is probed with, until it accepts one.
PROBE_SIDES = (64, 128, 256, 512)
# What networks raise for an unsupported image size.
SIZE_ERRORS = (RuntimeError, AssertionError, ValueError)
AUTOCAST = {'bf16': torch.bfloat16, 'fp16': torch.float16}
IMAGENET = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class KnowledgeBank(nn.Module, ABC):
    """A semantic knowledge bank (SKF, Sec. 3.1 and Eq. 1): a frozen network that extracts semantic priors from images.

    A subclass adapts the networks of one library: it builds one, and defines in :meth:`segment` how to run it. The network is
    not trained, initialized, averaged or saved with the model that owns the bank: it is not a registered submodule, so
    optimizers, ``Runner.train``, EMA, DDP and checkpoints do not see it, and copies of the owner share it. ``.to(...)``,
    ``.cuda()`` and ``.half()`` do reach it.

    Building reads no weights. They are loaded when first needed, or by :meth:`load`.

    No graph is built unless the image requires gradients; then they flow through the bank to the image.

    Args:
        network (nn.Module): The built network, with any weights.
        name (str): Its name in error messages: where its config is.
        checkpoint (str, optional): Path, URL or ``mmskf://...`` of the network's weights. Defaults to None: random weights.
        input (str): The input of the network: 'linear' is the image, 'log' is its :func:`log_image`, as in the released code of
            LLFlow. Defaults to 'linear'.
        mean_std (str | dict, optional): 'model' normalizes the image with the mean and std that the network was trained with; a
            dict with ``mean`` and ``std``, three numbers each for RGB in [0, 1], with these; None does not normalize it, as in
            all released SKF code. Defaults to 'model'.
        size_divisor (int, optional): The image is padded at the bottom and on the right (with edge values) to multiples of this,
            and the outputs are cropped accordingly. Defaults to None: 1 (for a vision transformer, its patch size) if the
            network covers the whole of any image, else the stride of its coarsest feature.
        image_size (Sequence[int], optional): (height, width) that every image is resized to, for networks with a fixed input
            size. Defaults to None: images keep their size.
        num_features (int, optional): Expected number of feature maps. Defaults to None: any number.
        bn (str): 'eval' normalizes with the running statistics, 'batch' with those of the batch, as in the released code of
            LLFlow; the running statistics never change. Defaults to 'eval'.
        fuse_conv_bn (bool): Whether to fold BatchNorms into the preceding convolutions when the weights are loaded. Defaults to
            False.
        channels_last (bool): Whether to run in the channels-last memory format, in which convolutions are faster, and return the
            features in it. Defaults to True.
        autocast (str, optional): 'bf16' or 'fp16' computes in that type and returns the image's. Defaults to None: as the
            surrounding code does.
        save_weights (bool): Whether the owner's checkpoint contains the weights, once loaded, and restores them. Defaults to
            False.

    Attributes:
        channels (dict): Index of a feature map -> its channels; 'logits' -> classes, if the network has class scores.
        strides (tuple[int]): Strides of the feature maps, finest first, in pixels of the image.

    Shape:
        (N, 3, H, W), RGB in [0, 1] -> SemanticPrior: features (N, C_i, h_i, w_i), finest first; logits (N, classes, H, W), or
        None.

    Raises:
        ValueError: If the network is not as expected, or options are unknown or mutually exclusive.
    """

    #: Prefixes of checkpoint keys that only training needs; they are ignored.
    training_only: tuple[str, ...] = ()
    #: The config field with the number of classes.
    classes_field = 'skb.model.num_classes'
    #: Side of the patches that a vision transformer splits an image into.
    patch_size = 1
    #: The mean and std that the network was trained with, for RGB in [0, 1].
    model_mean_std: Mapping[str, Sequence[float]] = IMAGENET

    def __init__(self,
                 network: nn.Module,
                 name: str,
                 checkpoint: str | None = None,
                 input: str = 'linear',
                 mean_std: str | dict | None = 'model',
                 size_divisor: int | None = None,
                 image_size: Sequence[int] | None = None,
                 num_features: int | None = None,
                 bn: str = 'eval',
                 fuse_conv_bn: bool = False,
                 channels_last: bool = True,
                 autocast: str | None = None,
                 save_weights: bool = False):
        super().__init__()
        _check_choice('input', input, ('linear', 'log'))
        _check_choice('bn', bn, ('eval', 'batch'))
        _check_choice('autocast', autocast, (*AUTOCAST, None))
        if not (isinstance(mean_std, dict) and mean_std.keys() == {'mean', 'std'}):
            _check_choice('mean_std', mean_std, ('model', dict(mean='...', std='...'), None))
        if input == 'log' and mean_std is not None:
            raise ValueError("skb.input='log' needs skb.mean_std=None: mean and std are those of linear images")
        if fuse_conv_bn and (bn == 'batch' or save_weights):
            raise ValueError("skb.fuse_conv_bn=True leaves no BatchNorm: set skb.bn='eval' and skb.save_weights=False, "
                             'or skb.fuse_conv_bn=False')
        if image_size and size_divisor:
            raise ValueError('skb.image_size resizes every image and skb.size_divisor pads it: set one of them to None')
        self.name = name
        self.checkpoint = checkpoint
        self.bn = bn
        self.input = input
        self.mean_std = mean_std
        self.size_divisor = size_divisor or 1
        self.image_size = image_size and tuple(image_size)
        self.fuse_conv_bn = fuse_conv_bn
        self.channels_last = channels_last
        self.autocast = autocast
        self.save_weights = save_weights
        self.loaded = False
        network.requires_grad_(False)
        network.eval()
        # Inside a tuple it is not a submodule: parameters(), state_dict(), init_weights() and train() of the owner skip it.
        self._frozen = (network, )
        self._probe(num_features, find_divisor=size_divisor is None)
        if channels_last:
            network.to(memory_format=torch.channels_last)
        if bn == 'batch':
            _use_batch_statistics(network)

    @abstractmethod
    def segment(self, x: Tensor) -> tuple[Any, Tensor | None]:
        """One pass of the network.

        Args:
            x (Tensor): Images (N, 3, H, W), normalized and padded.

        Returns:
            tuple: The feature maps (N, C_i, h_i, w_i), in any order and nesting; tensors with another number of dimensions among
            them are ignored. The class scores before the softmax (N, classes, h, w), or None.
        """

    def extract(self, x: Tensor) -> Any:
        """The feature maps of :meth:`segment` alone; a subclass may omit here what only the class scores need."""
        return self.segment(x)[0]

    def normalize(self, image: Tensor) -> Tensor:
        """Normalizes RGB in [0, 1] as the network was trained."""
        return _standardize(image, **self.model_mean_std)

    def read_weights(self, checkpoint: str) -> None:
        """Reads weights into the network, strictly.

        Raises:
            RuntimeError: If the checkpoint cannot be read or does not belong to the network.
        """
        weights = self._read_state_dict(checkpoint)
        for key, value in self.network.state_dict().items():
            found = weights.get(key, value)
            alike = found.ndim == value.ndim and found.shape[1:] == value.shape[1:]
            if alike and found.shape != value.shape and len(value) == self.num_classes:
                raise RuntimeError(f'The weights in {checkpoint} know {len(found)} classes, the segmentor of {self.name} has '
                                   f'{len(value)}: set {self.classes_field}={len(found)}, or give the weights that belong to it')
        try:
            self.network.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise RuntimeError(f'The weights in {checkpoint} are not those of the network of {self.name}. {error}') from None

    @property
    def network(self) -> nn.Module:
        """The frozen network."""
        return self._frozen[0]

    @property
    def label(self) -> str:
        """The name of the network in error messages."""
        return f'{type(self.network).__name__} of {self.name}'

    @property
    def num_classes(self) -> int:
        """Classes of the semantic map; 0 if the network has no class scores."""
        return self.channels.get('logits', 0)

    def forward(self, image: Tensor, logits: bool = True) -> SemanticPrior:
        """The semantic prior of images (N, 3, H, W), RGB in [0, 1].

        Args:
            image (Tensor): The images.
            logits (bool): False omits the class scores, whose head is then not computed. Defaults to True.

        Raises:
            RuntimeError: At the first call, if the checkpoint cannot be read or does not match the network.
            ValueError: If the image is too small for the network, or for ``bn='batch'``.
        """
        if not self.loaded:
            self.load()
        x = self._prepare(image)
        self._check_size(x)
        autocast = torch.autocast(image.device.type, AUTOCAST[self.autocast]) if self.autocast else nullcontext()
        with autocast:
            maps, scores = self._segment(x, logits)
        features = [maps[i] for i in self._order]
        if self.autocast:
            features = [feature.to(image.dtype) for feature in features]
            scores = scores if scores is None else scores.to(image.dtype)
        if x.shape[-2:] != image.shape[-2:]:
            features, scores = self._undo(features, scores, image.shape[-2:])
        return SemanticPrior(tuple(features), scores)

    @torch.inference_mode(False)  # Tensors made in inference mode could not propagate gradients to the image later.
    def load(self) -> None:
        """Loads the weights, strictly; what only training needs (auxiliary heads) is ignored.

        Raises:
            RuntimeError: If the checkpoint cannot be read or does not match the network.
        """
        if self.checkpoint is None:
            warnings.warn('The semantic knowledge bank has no checkpoint, so its semantics are random and tell nothing about '
                          'the image: set skb.checkpoint to the weights of the segmentation network', stacklevel=2)
        else:
            self.read_weights(str(self.checkpoint))
        if self.fuse_conv_bn:
            cnn.fuse_conv_bn(self.network).requires_grad_(False)
        self.loaded = True

    def fingerprint(self) -> str:
        """A hash of everything that its priors depend on: options, network and weights; not of where these were read."""
        if not self.loaded:
            self.load()
        settings = _settings(self)
        for name in ('name', 'checkpoint', 'save_weights', 'loaded'):
            settings.pop(name, None)
        digest = hashlib.sha256(f'{type(self).__name__} {settings}'.encode())
        for name, module in self.network.named_modules():
            digest.update(f'{name} {type(module).__name__} {_settings(module)}'.encode())
        for tensors in (self.network.named_parameters(), self.network.named_buffers()):
            for name, tensor in tensors:
                digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
                digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _read_state_dict(self, checkpoint: str) -> dict[str, Tensor]:
        with explain_unreadable(checkpoint):
            weights = read_state_dict(checkpoint)
        return {key: value for key, value in weights.items() if not key.startswith(self.training_only)}

    def _check_size(self, x: Tensor) -> None:
        stride = self.strides[-1]
        if self.bn == 'batch' and max(x.shape[-2:]) <= stride and len(x) == 1:
            raise ValueError(f"skb.bn='batch' normalizes with the statistics of the batch, and one image of {x.shape[-1]}x"
                             f'{x.shape[-2]} pixels has a single value per channel at 1/{stride} resolution: give a larger '
                             "image, or set skb.bn='eval'")

    def _prepare(self, image: Tensor) -> Tensor:
        if self.input == 'log':
            image = log_image(image)
        if self.mean_std == 'model':
            image = self.normalize(image)
        elif isinstance(self.mean_std, dict):
            image = _standardize(image, **self.mean_std)
        if self.image_size:
            # At least float32: the CPU has no such kernel for half precision.
            resized = F.interpolate(image.to(torch.promote_types(image.dtype, torch.float32)), self.image_size, mode='bilinear',
                                    antialias=True)
            image = resized.to(image.dtype)
        height, width = image.shape[-2:]
        padding = (0, -width % self.size_divisor, 0, -height % self.size_divisor)
        if any(padding):
            image = F.pad(image, padding, mode='replicate')
        return image.contiguous(memory_format=torch.channels_last) if self.channels_last else image

    def _segment(self, x: Tensor, scored: bool = True) -> tuple[list[Tensor], Tensor | None]:
        """The feature maps as returned, and the class scores at the size of x, unless they are not wanted."""
        try:
            output, logits = self.segment(x) if scored else (self.extract(x), None)
        except SIZE_ERRORS as error:
            if not self._smallest or min(x.shape[-2:]) >= self._smallest:
                raise
            raise ValueError(
                f'{self.label} does not take an image of {x.shape[-1]}x{x.shape[-2]} pixels ({error}); it takes '
                f'{self._smallest}x{self._smallest}: give larger images (in training, larger crops), or set '
                f'skb.image_size=({self._smallest}, {self._smallest})') from error
        if logits is not None and logits.shape[-2:] != x.shape[-2:]:
            logits = F.interpolate(logits, x.shape[-2:], mode='bilinear')
        return list(_maps(output)), logits

    def _undo(self, features: list[Tensor], logits: Tensor | None,
              size: Sequence[int]) -> tuple[list[Tensor], Tensor | None]:
        """Undoes what :meth:`_prepare` did to the size."""
        height, width = size
        if self.image_size:
            return features, logits if logits is None else F.interpolate(logits, (height, width), mode='bilinear')
        features = [feature[..., :-(-height // stride), :-(-width // stride)]
                    for feature, stride in zip(features, self.strides)]
        return features, logits if logits is None else logits[..., :height, :width]

    @torch.no_grad()
    def _probe(self, num_features: int | None, find_divisor: bool) -> None:
        """Probes the network with black images for channels, strides and order of all maps, and for the sizes it takes."""
        self._smallest = 0  # the side of a probe, for networks that rejected a smaller one
        step = math.lcm(self.size_divisor, self.patch_size)
        sides = [-(-side // step) * step for side in PROBE_SIDES]
        sizes = [self.image_size] if self.image_size else [(side, side) for side in sides]
        for size in sizes:
            try:
                maps, logits = self._segment(torch.zeros(1, 3, *size))
                break
            except SIZE_ERRORS as error:
                reason = error
        else:
            tried = ', '.join(f'{width}x{height}' for height, width in sizes)
            raise ValueError(f'{self.label} fails on images of {tried} pixels ({reason}). If it takes only one size, set '
                             'skb.image_size to that (height, width)')
        if size != sizes[0]:
            self._smallest = size[0]
        shapes = [tuple(feature.shape[1:]) for feature in maps]
        if not shapes or num_features not in (None, len(shapes)):
            raise ValueError(f'{self.label} returns {len(shapes)} feature maps {shapes} (channels, height, width), expected '
                             f'{num_features or "at least one"}: set its out_indices in skb.model, or skb.num_features')
        if logits is not None and logits.shape[1] == 1:
            raise ValueError(f'{self.label} has a single class score per pixel, from which no semantic map can be made: set '
                             f'{self.classes_field}=2')
        # For networks that round sizes up, the stride is a power of two.
        strides = [size[0] // height if size[0] % height == 0 else 2**round(math.log2(size[0] / height))
                   for _, height, _ in shapes]
        self._order = sorted(range(len(strides)), key=strides.__getitem__)
        self.strides = tuple(strides[i] for i in self._order)
        self.channels: dict[int | str, int] = {i: shapes[j][0] for i, j in enumerate(self._order)}
        if logits is not None:
            self.channels['logits'] = logits.shape[1]
        if find_divisor and not self.image_size:
            self.size_divisor = self._find_divisor(size[0])

    def _find_divisor(self, side: int) -> int:
        for divisor in (self.patch_size, self.strides[-1]):
            # Half as wide again: networks with a fixed size drop a remainder smaller than a patch.
            size = side + divisor, side + divisor * (1 + side // (2 * divisor))
            try:
                maps, _ = self._segment(torch.zeros(1, 3, *size))
            except SIZE_ERRORS as error:
                reason = str(error)
                continue
            whole = all(length * stride >= total for i, stride in zip(self._order, self.strides)
                        for length, total in zip(maps[i].shape[-2:], size))
            if whole:
                return divisor
            reason = 'the maps do not cover the whole image'
        raise ValueError(f'{self.label} takes images of {side}x{side} pixels, but not of other sizes ({reason}): set '
                         f'skb.image_size=({side}, {side}), or skb.size_divisor if it needs multiples of some number')

    def _apply(self, fn: Callable, *args: Any, **kwargs: Any) -> nn.Module:
        self.network._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def __deepcopy__(self, memo: dict) -> 'KnowledgeBank':
        return self  # It never changes, so an averaged copy of the owner shares it.

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        # Before the first use there is nothing to save: listing the keys of a model must not read a file.
        if self.save_weights and self.loaded:
            self.network.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool, missing_keys: list[str],
                              unexpected_keys: list[str], error_msgs: list[str]) -> None:
        # Without save_weights, the bank ignores the keys of a checkpoint that contains one.
        own = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        if self.save_weights and own:
            missing, unexpected = self.network.load_state_dict(own, strict=False)
            missing_keys.extend(prefix + key for key in missing)
            unexpected_keys.extend(prefix + key for key in unexpected)
            self.loaded = True

    def extra_repr(self) -> str:
        """Network, checkpoint and maps."""
        return f'{self.label}, checkpoint={self.checkpoint}, channels={self.channels}, strides={self.strides}'


@contextmanager
def outputs_of(*modules: nn.Module) -> Iterator[list[Any]]:
    """A list that collects the outputs of modules, in the order of their calls, while the context lasts."""
    outputs: list[Any] = []
    hooks = [module.register_forward_hook(lambda module, inputs, output: outputs.append(output)) for module in modules]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def explain_unreadable(checkpoint: str) -> Iterator[None]:
    """Explains what to do if reading a checkpoint fails, whatever went wrong.

    Raises:
        RuntimeError: Instead of any other error.
    """
    try:
        yield
    except Exception as error:
        raise RuntimeError(
            f'The semantic knowledge bank cannot read its weights from {checkpoint} ({error}). Set skb.checkpoint to a file '
            'that exists: a URL can be downloaded by hand on another machine, and tools/model_converters writes converted '
            'weights. skb.checkpoint=None runs with random semantics') from error


def import_optional(package: str, user: str, requirement: str) -> ModuleType:
    """Imports a package that only some knowledge banks need.

    Args:
        package (str): Its import name.
        user (str): What needs it.
        requirement (str): The requirement to install it by with pip.

    Raises:
        ImportError: If it is not installed, or does not work.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f'{user} needs the package {package} ({error}): pip install "{requirement}"') from error


def _maps(output: Any) -> Iterator[Tensor]:
    """The tensors (N, C, H, W) in nested tuples, lists and dicts; mmsegmentation's ViTs may add class tokens to them."""
    if isinstance(output, Tensor):
        if output.ndim == 4:
            yield output
    elif output is not None:
        for item in output.values() if isinstance(output, dict) else output:
            yield from _maps(item)


def _settings(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of a module that not every module has, such as the stride of a convolution."""
    common = vars(nn.Module())
    return {name: value for name, value in sorted(vars(module).items()) if name not in common and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list, dict)):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, (bool, int, float, str))


def _standardize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    return (image - image.new_tensor(mean)[:, None, None]) / image.new_tensor(std)[:, None, None]


def _use_batch_statistics(network: nn.Module) -> None:
    """Makes every BatchNorm normalize with the statistics of the current batch, and leave its running statistics unchanged."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.track_running_stats = False


def _check_choice(field: str, value: Any, choices: Sequence) -> None:
    if value not in choices:
        raise ValueError(f'skb.{field}={value!r} is unknown, expected one of {choices}')

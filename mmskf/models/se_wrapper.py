from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from math import ceil, isclose
from typing import Any

import torch
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import Prior

from .enhancement_net import EnhancementNet
from .se_modules import SEModuleList
from .whole_image import whole_image

# What networks that pad their own input call its divisor (NAFNet: padder_size).
SIZE_DIVISORS = ('size_divisor', 'padder_size')
GLOBAL_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def build_network(cfg: dict) -> nn.Module:
    """Builds a network by its registered name or its import path.

    Raises:
        ImportError: If its package is not installed.
        KeyError: If there is no such network.
    """
    name = cfg.get('type')
    package, dot, _ = name.partition('.') if isinstance(name, str) else ('', '', '')
    if dot and find_spec(package) is None:
        raise ImportError(f'The network {name} is from the package {package}, which is not installed: pip install {package}')
    if isinstance(name, str) and MODELS.get(name) is None:
        close = similar_names(name)
        raise KeyError(f'net.type names {name}, which is neither a registered network nor the import path of one'
                       + (f'. Did you mean {" or ".join(close)}?' if close else ''))
    return MODELS.build(cfg)


def similar_names(name: str) -> list[str]:
    """Names of networks that resemble one that does not exist: registered ones, and others in the module of its path."""
    path, _, last = name.rpartition('.')
    scope = path.partition('.')[0]
    registries = {**(MODELS.parent.children if MODELS.parent else {}), '': MODELS}
    known = {key: f'{owner}.{key}'.lstrip('.') for owner, registry in registries.items() if scope in ('', owner)
             for key in registry.module_dict}
    with suppress(ImportError, ValueError):  # there may be no such module, or none is named
        known.update((key, f'{path}.{key}') for key, value in vars(import_module(path)).items() if callable(value))
    return [known[key] for key in get_close_matches(last, known, n=3)]


def describe(output: Any) -> str:
    """Describes what a module returned, for a message."""
    return f'a tensor {tuple(output.shape)}' if isinstance(output, Tensor) else f'a {type(output).__name__}'


@MODELS.register_module()
class SEWrapper(EnhancementNet):
    """SKF around any network, unmodified: SE modules on the outputs of named submodules (SKF, Eq. 2, 4 and 5).

    An SE module acts as if it were part of the submodule that it follows: it embeds the prior in the submodule's output, each
    time that it runs, before the rest of the network sees it. The weights are named ``net.*``, as in the network itself, and
    ``se.*``. Without ``se``, or without a prior, the wrapper returns what the network returns.

    Args:
        net (dict): Config of a network from images (N, input_channels, H, W) in [0, 1] to images (N, 3, H, W), or to several
            outputs whose first is that. ``type`` is the name of a registered network ('mmagic.NAFNet') or the import path of a
            class or function ('segmentation_models_pytorch.Unet').
        se (dict, optional): As in :class:`SEModuleList`, plus ``modules`` (Sequence[str]): for each SE module the name of the
            submodule that it follows, as in ``net.named_modules()``. Widths are found by running the network once. Defaults to
            None: the plain network.
        size_divisor (int, optional): Height and width of inputs must be multiples of it. A network that pads its own input
            needs it as well, since the prior is computed from the image that the network is given. Defaults to None: the
            network's ``size_divisor`` or ``padder_size`` if it has one, else 1.
        input_channels (int): Channels of the input: RGB, and what the pipeline appends. Defaults to 3.
        residual (bool): Whether the network predicts a residual, to be added to the image. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, input_channels, H, W) in [0, 1] -> (N, 3, H, W), unclamped; if the network has several outputs, a tuple whose first
        item is that

    Raises:
        ImportError: If the package of the network is not installed.
        ValueError: If the network does not return an image of the size of its input, or lacks a named submodule, or if that
            submodule does not run or does not return a feature map (N, C, H, W).

    Examples:
        >>> generator = dict(
        >>>     type='SEWrapper',
        >>>     net=dict(type='mmagic.NAFNet', mid_channels=32, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
        >>>     se=dict(type='SEModule', modules=('decoders.0', 'decoders.1'), sources=(1, 0)))
    """

    def __init__(self,
                 net: dict,
                 se: dict | None = None,
                 size_divisor: int | None = None,
                 input_channels: int = 3,
                 residual: bool = False,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.net = build_network(net)
        self.size_divisor = size_divisor or next(
            (getattr(self.net, name) for name in SIZE_DIVISORS if hasattr(self.net, name)), 1)
        self.input_channels = input_channels
        self.residual = residual
        self.places: tuple[str, ...] = ()
        if se:
            se = dict(se)
            self.places = tuple(se.pop('modules', ()))
            self._check_places()
        self.se = SEModuleList(se, self._probe())

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor | tuple[Any, ...]:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor or tuple: The enhanced images (N, 3, H, W), unclamped; in a tuple they are the first item.

        Raises:
            ValueError: If height or width is not a multiple of ``size_divisor``, or the network's output is not an image of
                this size.
            RuntimeError: If activation checkpointing is applied to a part that contains an SE module.
        """
        if any(side % self.size_divisor for side in inputs.shape[-2:]):
            raise ValueError(f'{self._name} was given {tuple(inputs.shape)}, but takes multiples of {self.size_divisor} for '
                             'height and width: pad the image')
        with_gradient = torch.is_grad_enabled()

        def embed(index: int, feature: Tensor) -> Tensor:
            # Reentrant checkpointing would silently run the submodule again in the backward pass, where it has no prior.
            if prior is not None and torch.is_grad_enabled() != with_gradient:
                raise RuntimeError(f'{self.places[index]!r} of {self._name} is in a part that runs without gradient, or whose '
                                   'activations are checkpointed, and would lose its SE module in the backward pass: checkpoint '
                                   'submodules that contain none of se.modules, or these themselves')
            return self.se(index, feature, prior)

        with self._hooks(self.net, embed) as hooks:
            for pool in self._global_pools:
                hooks.enter_context(pool.register_forward_hook(lambda module, args, output: whole_image(output)))
            outputs = self.net(inputs)
        return self._images(inputs, outputs)

    @property
    def _global_pools(self) -> list[nn.Module]:
        """The parts of the network that average over the image; in a tile, they give the average of the whole image."""
        return [module for module in self.net.modules()
                if isinstance(module, GLOBAL_POOLS) and module.output_size in (1, (1, 1))]

    @property
    def _name(self) -> str:
        return type(self.net).__name__

    def _hooks(self, net: nn.Module, act: Callable[[int, Any], Tensor | None]) -> ExitStack:
        """Lets a function see, and replace, the outputs of the submodules in ``places``, until the context is left.

        The hooks hold the prior and last for one forward pass: they are removed from the network, whatever happens inside.
        """

        def hook(index: int, module: nn.Module, args: Any, output: Any) -> Tensor | None:
            return act(index, output)

        with ExitStack() as hooks:
            for index, place in enumerate(self.places):
                hooks.enter_context(net.get_submodule(place).register_forward_hook(partial(hook, index)))
            return hooks.pop_all()

    def _images(self, inputs: Tensor, outputs: Any) -> Tensor | tuple[Any, ...]:
        """The outputs of the network, in the form that the contract asks for."""
        if isinstance(outputs, Mapping):
            outputs = tuple(outputs.values())
        image, *others = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        expected = (inputs.size(0), 3, *inputs.shape[-2:])
        if not isinstance(image, Tensor) or image.shape != expected:
            raise ValueError(f'{self._name} made {describe(image)} of images {tuple(inputs.shape)}, expected {expected}: give '
                             'it 3 output channels, and set size_divisor if it does not preserve every size')
        if self.residual:
            image = inputs[:, :3] + image
        return (image, *others) if others else image

    def _check_places(self) -> None:
        """Rejects names of submodules that the network does not have."""
        known = [name for name, _ in self.net.named_modules(remove_duplicate=False) if name]
        parts = dict(self.net.named_children())
        if not self.places:
            raise ValueError('se.modules is missing: name the submodules of the network that SE modules are to follow, '
                             f'such as the stages of its decoder. {self._name} has {", ".join(parts)}')
        for place in self.places:
            if place not in known:
                close = get_close_matches(place, known, n=5) or parts
                raise ValueError(f'se.modules names {place!r}, which {self._name} does not have; it has {", ".join(close)}')

    def _probe(self) -> list[int]:
        """Runs the network once and returns the output channels of the submodules in ``places``.

        It runs a copy, which leaves buffers and other state of the network untouched, and keeps the random state.
        """
        net = deepcopy(self.net)
        net.eval()
        unit = self.size_divisor
        height = unit * ceil(64 / unit)  # large enough for networks with windows or many scales
        width = height + unit * ceil(32 / unit)  # not square, to distinguish (N, C, H, W) from (N, H, W, C)
        weight = next(net.parameters(), torch.empty(()))
        image = weight.new_full((1, self.input_channels, height, width), 0.5)
        features: dict[int, Any] = {}
        with torch.random.fork_rng([weight.device] if weight.is_cuda else []), torch.no_grad(), self._hooks(
                net, features.__setitem__):
            try:
                outputs = net(image)
            except Exception as error:
                raise ValueError(f'{self._name} does not run on an image {tuple(image.shape)} ({type(error).__name__}: {error}): '
                                 'set size_divisor and input_channels of SEWrapper to what it takes') from error
        self._images(image, outputs)
        for index, place in enumerate(self.places):
            if index not in features:
                raise ValueError(f'se.modules names {place!r}, which {self._name} contains but does not run: name a module that '
                                 'it calls, such as an item of that list')
            feature = features[index]
            if not isinstance(feature, Tensor) or feature.ndim != 4 or not isclose(
                    feature.size(3) * height, feature.size(2) * width, rel_tol=0.1):
                raise ValueError(f'se.modules names {place!r}, which returns {describe(feature)} in {self._name} for an image '
                                 f'{tuple(image.shape)}; an SE module needs a feature map (N, C, H, W): name a module that '
                                 'returns one')
        return [features[index].size(1) for index in range(len(self.places))]

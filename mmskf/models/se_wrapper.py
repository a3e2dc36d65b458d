from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from math import ceil, isclose
from typing import Any

import torch
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import Prior

from .enhancement_net import EnhancementNet
from .se_modules import SEModuleList

# What networks that pad their input themselves call its divisor (NAFNet: padder_size).
SIZE_DIVISORS = ('size_divisor', 'padder_size')


def build_network(cfg: dict) -> nn.Module:
    """Builds a network by its registered name or its import path.

    Raises:
        ImportError: If its package is not installed.
    """
    name = cfg.get('type')
    package, dot, _ = name.partition('.') if isinstance(name, str) else ('', '', '')
    if dot and find_spec(package) is None:
        raise ImportError(f'The network {name} is of the package {package}, which is not installed: pip install {package}')
    return MODELS.build(cfg)


def describe(output: Any) -> str:
    """What a module yielded, for a message."""
    return f'a tensor {tuple(output.shape)}' if isinstance(output, Tensor) else f'a {type(output).__name__}'


@MODELS.register_module()
class SEWrapper(EnhancementNet):
    """SKF around a network that knows nothing of it: SE modules behind named submodules (SKF, Eq. 2, 4 and 5).

    An SE module acts as if it belonged to the submodule that it stands behind: what this yields is embedded before anything
    else of the network sees it, each time that it runs. The weights are named ``net.*``, as in the network itself, and
    ``se.*``. Without ``se``, or without a prior, the wrapper gives what the network gives.

    Args:
        net (dict): Config of a network from images (N, input_channels, H, W) in [0, 1] to images (N, 3, H, W), or to several
            outputs of which that is the first. ``type`` is the name of a registered network ('mmagic.NAFNet') or the import
            path of a class or function ('segmentation_models_pytorch.Unet').
        se (dict, optional): As in :class:`SEModuleList`, and ``modules`` (Sequence[str]): for each SE module the name of the
            submodule that it stands behind, as in ``net.named_modules()``. Widths are found by running the network once.
            Defaults to None: the network as it is.
        size_divisor (int, optional): Height and width of inputs must be multiples of it. A network that pads its input itself
            needs it as well: the prior is that of the image as the network is given it. Defaults to None: taken from the
            network where that has a ``size_divisor`` or ``padder_size``, else 1.
        input_channels (int): Channels of the input: RGB, and what the pipeline appends. Defaults to 3.
        residual (bool): The network yields what is to be added to the image. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, input_channels, H, W) in [0, 1] -> (N, 3, H, W), unclamped; where the network has several outputs, a tuple whose first
        item is that

    Raises:
        ImportError: If the package of the network is not installed.
        ValueError: If the network yields no image of the size of its input, or lacks a submodule of that name, or if that
            submodule does not run or yields no map (N, C, H, W).

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
            ValueError: If height or width is no multiple of ``size_divisor``, or the network yields no image of this size.
            RuntimeError: If the activations of a part are checkpointed that holds an SE module.
        """
        if any(side % self.size_divisor for side in inputs.shape[-2:]):
            raise ValueError(f'{self._name} was given {tuple(inputs.shape)}, and takes multiples of {self.size_divisor} for '
                             'height and width: pad the image')
        with_gradient = torch.is_grad_enabled()

        def embed(index: int, feature: Tensor) -> Tensor:
            # Reentrant checkpointing would run it once more in the backward pass, where it has no prior, and not notice.
            if prior is not None and torch.is_grad_enabled() != with_gradient:
                raise RuntimeError(f'{self.places[index]!r} of {self._name} lies in a part that runs without gradient, or whose '
                                   'activations are checkpointed, and would lose its SE module in the backward pass: checkpoint '
                                   'submodules that hold none of se.modules, or these themselves')
            return self.se(index, feature, prior)

        with self._hooks(self.net, embed):
            outputs = self.net(inputs)
        return self._images(inputs, outputs)

    @property
    def _name(self) -> str:
        return type(self.net).__name__

    def _hooks(self, net: nn.Module, act: Callable[[int, Any], Tensor | None]) -> ExitStack:
        """Lets a function see, and replace, what the submodules of ``places`` yield, until the context is left.

        The hooks hold the prior and live as long as one forward pass: nothing stays in the network, whatever happens inside.
        """

        def hook(index: int, module: nn.Module, args: Any, output: Any) -> Tensor | None:
            return act(index, output)

        with ExitStack() as hooks:
            for index, place in enumerate(self.places):
                hooks.enter_context(net.get_submodule(place).register_forward_hook(partial(hook, index)))
            return hooks.pop_all()

    def _images(self, inputs: Tensor, outputs: Any) -> Tensor | tuple[Any, ...]:
        """What the network yielded, as the contract has it."""
        if isinstance(outputs, Mapping):
            outputs = tuple(outputs.values())
        image, *others = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        expected = (inputs.size(0), 3, *inputs.shape[-2:])
        if not isinstance(image, Tensor) or image.shape != expected:
            raise ValueError(f'{self._name} made {describe(image)} of images {tuple(inputs.shape)}, expected {expected}: give '
                             'it 3 output channels, and set size_divisor if it does not keep every size')
        if self.residual:
            image = inputs[:, :3] + image
        return (image, *others) if others else image

    def _check_places(self) -> None:
        """Refuses names of submodules that the network does not have."""
        known = [name for name, _ in self.net.named_modules(remove_duplicate=False) if name]
        parts = dict(self.net.named_children())
        if not self.places:
            raise ValueError('se.modules is missing: name the submodules of the network behind which SE modules are to stand, '
                             f'such as the stages of its decoder. {self._name} has {", ".join(parts)}')
        for place in self.places:
            if place not in known:
                close = get_close_matches(place, known, n=5) or parts
                raise ValueError(f'se.modules names {place!r}, which {self._name} does not have; it has {", ".join(close)}')

    def _probe(self) -> list[int]:
        """Runs the network once and returns the channels of what the submodules of ``places`` yield.

        A copy is run: buffers and whatever else the network keeps stay as they are, and so does the random state.
        """
        net = deepcopy(self.net)
        net.eval()
        unit = self.size_divisor
        height = unit * ceil(64 / unit)  # enough for networks with windows or many scales
        width = height + unit * ceil(32 / unit)  # not square, to tell (N, C, H, W) from (N, H, W, C)
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
                raise ValueError(f'se.modules names {place!r}, which {self._name} holds and does not run: name a module that it '
                                 'calls, such as an item of that list')
            feature = features[index]
            if not isinstance(feature, Tensor) or feature.ndim != 4 or not isclose(
                    feature.size(3) * height, feature.size(2) * width, rel_tol=0.1):
                raise ValueError(f'se.modules names {place!r}, which yields {describe(feature)} in {self._name} for an image '
                                 f'{tuple(image.shape)}; an SE module needs a map (N, C, H, W): name a module that yields one')
        return [features[index].size(1) for index in range(len(self.places))]

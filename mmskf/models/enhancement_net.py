from abc import abstractmethod
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmskf.structures import Prior, SemanticPrior

from .se_modules import SEModule, SEModuleList


class EnhancementNet(BaseModule):
    """The contract of an enhancement network: everything that :class:`SKFEditor` knows about its generator.

    A subclass builds its SE modules as a :class:`SEModuleList` from the argument ``se``, anywhere inside, and overrides the
    class attributes below where its network differs. For an existing network :class:`SEWrapper` provides all this.

    Attributes:
        size_divisor (int): Height and width of inputs must be multiples of it; the editor pads accordingly. Defaults to 1.
        input_channels (int): Channels of the input: RGB, and what the pipeline of the method appends. Defaults to 3.
        early_image (bool): Whether the network makes an image of its own before its SE modules, such as a reflectance, and
            accepts a callable as ``prior``, which it calls for the prior of that image (:meth:`ask`). Defaults to False.
        stages (tuple[str]): Subnets that are trained one after the other, in this order; see :class:`StagedEditor`.
            Defaults to (): everything is trained at once.
        test_uses_gt (bool): Whether it is given the ground truth in testing, which is not a fair evaluation. Defaults to False.
        max_pixels (int, optional): Largest photo, in pixels, that it enhances at once, with a knowledge bank, in about 2 GB;
            larger ones are enhanced in tiles (:func:`~mmskf.models.whole_image.enhance_in_tiles`). None: no limit. Defaults to
            1,000,000.
        export_obstacle (str, optional): Why the network cannot be exported (:mod:`mmskf.export`), for the error. Defaults to
            None: it can.
        context (int): Distance, in pixels, from which the border of a tile affects the result: that much of a tile is discarded.
            Defaults to 48.

    Args:
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, input_channels, H, W) in [0, 1] -> (N, 3, H, W), unclamped, or a tuple whose first item is that
    """
    size_divisor: int = 1
    input_channels: int = 3
    early_image: bool = False
    stages: tuple[str, ...] = ()
    test_uses_gt: bool = False
    max_pixels: int | None = 1_000_000
    context: int = 48
    export_obstacle: str | None = None

    def __init__(self, init_cfg: dict | None = None):
        super().__init__(init_cfg)

    @abstractmethod
    def forward(self, inputs: Tensor, prior: Prior = None) -> Any:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, input_channels, H, W) in [0, 1].
            prior (SemanticPrior or callable, optional): For the SE modules, which are skipped without one.

        Returns:
            Tensor or tuple: The enhanced images (N, 3, H, W), unclamped; in a tuple they are the first item.
        """

    def maps_of_whole(self, inputs: Tensor) -> dict[str, Tensor]:
        """Pixelwise maps that the network computes from the whole image, needed when it is enhanced in tiles.

        Args:
            inputs (Tensor): The whole images (N, input_channels, H, W).

        Returns:
            dict[str, Tensor]: Keyword of :meth:`forward` -> map (N, C, H, W); each tile gets its part. None by default.
        """
        return {}

    @property
    def se_modules(self) -> list[SEModule]:
        """All SE modules of the network, in the order of its submodules."""
        return [module for modules in self.modules() if isinstance(modules, SEModuleList) for module in modules]

    @staticmethod
    def ask(prior: Prior, image: Tensor) -> SemanticPrior | None:
        """The given prior or, if that is a callable, the prior of the network's own image (N, 3, H, W)."""
        return prior(image) if callable(prior) else prior

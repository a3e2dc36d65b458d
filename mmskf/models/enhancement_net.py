from abc import abstractmethod
from typing import Any, Dict, List, Optional, Tuple

from mmengine.model import BaseModule
from torch import Tensor

from mmskf.structures import Prior, SemanticPrior

from .se_modules import SEModule, SEModuleList


class EnhancementNet(BaseModule):
    """The contract of an enhancement network: all that :class:`SKFEditor` knows of its generator.

    A subclass builds its SE modules as a :class:`SEModuleList` from the argument ``se``, anywhere inside, and overrides the
    class attributes below where its network differs. A network that knows nothing of SKF gets all this from
    :class:`SEWrapper`.

    Attributes:
        size_divisor (int): Height and width of inputs must be multiples of it; the editor pads to them. Defaults to 1.
        input_channels (int): Channels of the input: RGB, and what the pipeline of the method appends. Defaults to 3.
        early_image (bool): The network makes an image of its own before its SE modules, such as a reflectance, and takes a
            callable for ``prior``, which it asks for the prior of that image (:meth:`ask`). Defaults to False.
        stages (tuple[str]): Subnets that are trained one after the other, in this order; see :class:`StagedEditor`.
            Defaults to (): all is trained at once.
        test_uses_gt (bool): In testing it is given the ground truth, which no fair score has. Defaults to False.
        max_pixels (int, optional): Pixels of a photo that it enhances at once, with a knowledge bank, in about 2 GB; larger
            ones are enhanced in tiles (:func:`~mmskf.models.whole_image.enhance_in_tiles`). None: never. Defaults to 1,000,000.
        context (int): From how far away, in pixels, the border of a tile is noticed: so much of it is not used. Defaults to 48.

    Args:
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, input_channels, H, W) in [0, 1] -> (N, 3, H, W), unclamped, or a tuple whose first item is that
    """
    size_divisor: int = 1
    input_channels: int = 3
    early_image: bool = False
    stages: Tuple[str, ...] = ()
    test_uses_gt: bool = False
    max_pixels: Optional[int] = 1_000_000
    context: int = 48

    def __init__(self, init_cfg: Optional[dict] = None):
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

    def maps_of_whole(self, inputs: Tensor) -> Dict[str, Tensor]:
        """What the network computes pixel by pixel from an image that has to be whole, for when it is enhanced in tiles.

        Args:
            inputs (Tensor): The whole images (N, input_channels, H, W).

        Returns:
            dict[str, Tensor]: Keyword of :meth:`forward` -> map (N, C, H, W); a tile is given its part. None by default.
        """
        return {}

    @property
    def se_modules(self) -> List[SEModule]:
        """All SE modules of the network, in the order in which it holds them."""
        return [module for modules in self.modules() if isinstance(modules, SEModuleList) for module in modules]

    @staticmethod
    def ask(prior: Prior, image: Tensor) -> Optional[SemanticPrior]:
        """The prior that was given, or that of an image (N, 3, H, W) of the network's own where a callable was given."""
        return prior(image) if callable(prior) else prior

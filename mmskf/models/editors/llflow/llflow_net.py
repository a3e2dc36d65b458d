from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmskf.models.checkpointing import run_block
from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior

from .flow import ConditionalFlow, InvertibleConv1x1


class FlowOutputs(NamedTuple):
    """What the flow encodes a ground truth to in training.

    Attributes:
        latent (Tensor): z, (N, 3, H, W).
        mean (Tensor): The mean of its Gaussian, (N, 3, H, W): as the network returns it, the color map in [0, 1].
        logdet (Tensor): (N,), of the whole image.
        image (Tensor, optional): What the mean decodes to, (N, 3, H, W), if requested.
    """
    latent: Tensor
    mean: Tensor
    logdet: Tensor
    image: Tensor | None = None


class ConditionEncoder(BaseModule):
    """LLFlow's conditional encoder: features at three scales, and the color map, the mean of the latent image.

    Args:
        width (int): Channels of the features.
        num_blocks (int): Number of RRDBs.
        kept_blocks (Sequence[int]): Blocks whose outputs are kept in addition to the features.
        with_cp (bool): Whether to use activation checkpointing for each block. Defaults to False.

    Shape:
        (N, 6, H, W), log image and equalized image -> features (N, width, H/s, W/s) with s = 8, 4, 2; the kept outputs
        (N, width * len(kept_blocks), H/2, W/2); color map (N, 3, H, W) in [0, 1]
    """

    def __init__(self, width: int, num_blocks: int, kept_blocks: Sequence[int], with_cp: bool = False):
        from mmagic.models.editors.esrgan.rrdb_net import RRDB  # imports all of mmagic's models, which takes seconds
        super().__init__()
        self.with_cp = with_cp
        self.kept_blocks = tuple(kept_blocks)
        self.conv_first = nn.Conv2d(12, width, 3, padding=1)
        self.conv_second = nn.Conv2d(width, width, 3, padding=1)
        self.blocks = ModuleList(RRDB(width) for _ in range(num_blocks))
        self.trunk_conv = nn.Conv2d(width, width, 3, padding=1)
        self.down4 = nn.Conv2d(width, width, 3, padding=1)
        self.down8 = nn.Conv2d(width, width, 3, padding=1)
        self.to_color_map = nn.Conv2d(width, 3, 1)

    def forward(self, inputs: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        colors = inputs[:, :3].exp()
        colors = colors / (colors.sum(dim=1, keepdim=True) + 1e-4)
        x = torch.cat([inputs, colors, self.noise_map(colors)], dim=1)
        x = self.conv_second(F.leaky_relu(self.conv_first(x), 0.2, inplace=True))
        head = x = F.max_pool2d(x, 2)
        kept = []
        for index, block in enumerate(self.blocks):
            x = run_block(block, x, with_cp=self.with_cp)
            if index in self.kept_blocks:
                kept.append(x)
        half = head + self.trunk_conv(x)
        # The released code activates only the feature at 1/4, a side effect of its in-place LeakyReLU.
        quarter = F.leaky_relu(self.down4(F.avg_pool2d(half, 2)), 0.2, inplace=True)
        eighth = self.down8(F.avg_pool2d(quarter, 2))
        color_map = F.interpolate(self.to_color_map(half).to(inputs.dtype).sigmoid(), scale_factor=2)
        return [eighth, quarter, half], torch.cat(kept, dim=1), color_map

    @staticmethod
    def noise_map(colors: Tensor) -> Tensor:
        """The larger of the two central differences, with zero padding: (N, 3, H, W) -> (N, 3, H, W)."""
        padded = F.pad(colors, (1, 1, 1, 1))
        vertical = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
        horizontal = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        return 0.5 * torch.maximum(vertical.abs(), horizontal.abs())


@MODELS.register_module()
class LLFlowNet(EnhancementNet):
    """LLFlow (Wang et al., AAAI 2022): a normalizing flow from normal-light to latent images, conditioned on low-light images.

    The latent image of a ground truth is trained to be Gaussian around an illumination-invariant color map. The enhanced image
    is decoded from the color map itself. With SKF, SE modules embed the prior in the three conditions of the flow. The defaults
    are LLFlow-S; LLFlow-L has width 64, 24 blocks of which 1, 3, 5 and 7 are kept, and 12 steps.

    Args:
        width (int): Channels of the encoder. Defaults to 32.
        num_blocks (int): RRDBs of the encoder. Defaults to 4.
        kept_blocks (Sequence[int]): Blocks whose outputs are part of the conditions. Defaults to (1, ).
        steps (int): Conditional flow steps at each of the three scales (K). Defaults to 4.
        hidden (int): Width of the networks of the flow's injectors and couplings. Defaults to 64.
        se (dict, optional): SE modules on the conditions at 1/8, 1/4 and 1/2 (see :class:`SEModuleList`). Defaults to None.
        reversible (bool): Whether the flow keeps only the latent images between its levels in training, and inverts itself to
            restore the others in the backward pass (:func:`encode_reversibly`). Less memory, more time, and the same result to
            within rounding errors; for ``inverse_loss`` the activations are kept. Defaults to False.
        with_cp (bool): Whether to use activation checkpointing for the blocks of the encoder and the SE modules. Less memory,
            more time, and the same result. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 6, H, W): log(max(x + 1e-3, 1e-3)) of an image x, then the equalized image, in [0, 1]; H and W multiples of 8 ->
        image (N, 3, H, W), unclamped; with a ground truth (N, 3, H, W) :class:`FlowOutputs`

    Raises:
        ValueError: If a kept block does not exist, or the inputs have another shape.
    """
    size_divisor = 8
    input_channels = 6

    def __init__(self,
                 width: int = 32,
                 num_blocks: int = 4,
                 kept_blocks: Sequence[int] = (1, ),
                 steps: int = 4,
                 hidden: int = 64,
                 se: dict | None = None,
                 reversible: bool = False,
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if not kept_blocks or any(block not in range(num_blocks) for block in kept_blocks):
            raise ValueError(f'kept_blocks of LLFlowNet is {tuple(kept_blocks)}; choose some of its {num_blocks} blocks, 0 to '
                             f'{num_blocks - 1}')
        cond_channels = width * (1 + len(kept_blocks))
        self.encoder = ConditionEncoder(width, num_blocks, kept_blocks, with_cp)
        self.se = SEModuleList(se, channels=3 * (cond_channels, ), with_cp=with_cp)
        self.flow = ConditionalFlow(cond_channels, steps, hidden=hidden, reversible=reversible)
        for name, module in self.named_modules():
            if isinstance(module, InvertibleConv1x1):
                module.name = name

    def forward(self,
                inputs: Tensor,
                prior: Prior = None,
                gt: Tensor | None = None,
                temperature: float = 0.,
                decode: bool = False) -> Tensor | FlowOutputs:
        """Enhances a batch of images, or encodes their ground truth.

        Args:
            inputs (Tensor): Log image and equalized image, (N, 6, H, W).
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.
            gt (Tensor, optional): Ground truth (N, 3, H, W) in [0, 1], in training.
            temperature (float): Standard deviation of the decoded latent image around the color map. Defaults to 0.
            decode (bool): Whether to decode the color map as well when a ground truth is given. Defaults to False.

        Returns:
            Tensor or FlowOutputs: The enhanced image, or the latent image of the ground truth if there is one.
        """
        conds, color_map = self.condition(inputs, prior)
        if gt is None:
            return self.decode(conds, color_map, temperature)
        latent, logdet = self.flow(gt.contiguous(memory_format=torch.channels_last), conds)
        return FlowOutputs(latent, color_map, logdet, self.flow.inverse(color_map, conds) if decode else None)

    def condition(self, inputs: Tensor, prior: Prior = None) -> tuple[list[Tensor], Tensor]:
        """What the flow is conditioned on: three features (N, cond_channels, H/s, W/s), s = 8, 4, 2, and the color map."""
        if inputs.shape[1] != self.input_channels or any(side % self.size_divisor or not side for side in inputs.shape[2:]):
            raise ValueError(f'LLFlowNet was given inputs of shape {tuple(inputs.shape)}, expected (N, 6, H, W): log image and '
                             f'equalized image, with H and W multiples of {self.size_divisor}')
        # Convolutions on CPUs are faster in this format (the encoder 1.4 times), and everything after it inherits the format.
        features, kept, color_map = self.encoder(inputs.contiguous(memory_format=torch.channels_last))
        conds = []
        for index, feature in enumerate(features):
            stride = kept.shape[-1] // feature.shape[-1]
            conds.append(self.se(index, torch.cat([feature, kept[..., ::stride, ::stride]], dim=1), prior))
        return conds, color_map

    def decode(self, conds: Sequence[Tensor], color_map: Tensor, temperature: float = 0.) -> Tensor:
        """An image (N, 3, H, W), unclamped, sampled if ``temperature`` is not 0; other arguments as from :meth:`condition`."""
        latent = color_map + temperature * torch.randn_like(color_map) if temperature else color_map
        return self.flow.inverse(latent, conds)

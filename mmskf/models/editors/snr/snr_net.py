import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmskf.models.checkpointing import run_block
from mmskf.models.enhancement_net import EnhancementNet
from mmskf.models.se_modules import SEModuleList
from mmskf.registry import MODELS
from mmskf.structures import Prior

PATCH = 4  # Side of a token, in cells of the feature at 1/4.


def box_blur(image: Tensor) -> Tensor:
    """Mean over 5x5 pixels, with reflection padding: (N, C, H, W) -> (N, C, H, W), H and W at least 3."""
    # In 8-bit steps the sums of photos are exact: the SNR map amplifies a difference in the last bit ten thousand times.
    return F.avg_pool2d(F.pad(255 * image, (2, 2, 2, 2), mode='reflect'), kernel_size=5, stride=1) / 255


def luma(image: Tensor) -> Tensor:
    """Brightness (N, 1, H, W) of RGB images (N, 3, H, W)."""
    red, green, blue = image.split(1, dim=1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def snr_map(image: Tensor, blurred: Tensor) -> Tensor:
    """Signal-to-noise ratio of each pixel (SNR-LLIE-Net, section 3.2): the blurred image is the signal, the rest noise.

    It is ill-conditioned by design: a pixel equal to its blurred value has the ratio ``light / 1e-4``, and the largest ratio of
    an image scales all others.

    Args:
        image (Tensor): Images (N, 3, H, W), RGB in [0, 1].
        blurred (Tensor): The same, denoised (see :func:`box_blur`).

    Returns:
        Tensor: (N, 1, H, W) in [0, 1]; in each image the pixel with the highest ratio is about 1.
    """
    light = luma(blurred)
    ratio = light / ((luma(image) - light).abs() + 1e-4)
    return ratio / (ratio.amax(dim=(1, 2, 3), keepdim=True) + 1e-4)


class SNRGuidedAttention(nn.Module):
    """Self-attention to reliable tokens only (SNR-LLIE-Net, section 3.3), or to all tokens if none is reliable.

    Memory grows linearly with the number of tokens, time with its square.

    Args:
        channels (int): Width of the tokens.
        heads (int): Number of heads. Defaults to 8.
        head_channels (int): Width of a head. Defaults to 64.

    Shape:
        tokens (N, L, channels), reliable (N, L) bool -> (N, L, channels)
    """

    def __init__(self, channels: int, heads: int = 8, head_channels: int = 64):
        super().__init__()
        self.heads = heads
        width = heads * head_channels
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.query = nn.Linear(channels, width, bias=False)
        self.key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, width, bias=False)
        self.project_out = nn.Linear(width, channels, bias=False)

    def forward(self, tokens: Tensor, reliable: Tensor) -> Tensor:
        normed = self.norm(tokens)
        query, key, value = (layer(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                             for layer in (self.query, self.key, self.value))
        # The authors add -1e9 to the scores of other tokens: if no token is reliable, all weights come out equal. Zero queries
        # without a mask have the same effect, in half precision too.
        any_reliable = reliable.any(dim=1, keepdim=True)
        query = query * any_reliable[..., None, None]
        mask = (reliable | ~any_reliable)[:, None, None]
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.project_out(attended.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Attention to reliable tokens and a feed-forward network, both residual.

    Shape:
        tokens (N, L, channels), reliable (N, L) bool -> (N, L, channels)
    """

    def __init__(self, channels: int):
        super().__init__()
        self.attention = SNRGuidedAttention(channels)
        self.ffn = nn.Sequential(
            nn.LayerNorm(channels, eps=1e-6), nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True),
            nn.Linear(2 * channels, channels))

    def forward(self, tokens: Tensor, reliable: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens, reliable)
        return tokens + self.ffn(tokens)


class LongRangeBranch(nn.Module):
    """A transformer over the 4x4 patches of a feature map; patches with a mean SNR of at most 0.5 are not used as keys.

    Rows and columns beyond the last whole patch become zero, and so does a feature map smaller than a patch.

    Shape:
        feature (N, channels, H, W), snr (N, 1, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, layers: int, with_cp: bool = False):
        super().__init__()
        self.with_cp = with_cp
        self.layers = nn.ModuleList(TransformerLayer(channels * PATCH**2) for _ in range(layers))

    def forward(self, feature: Tensor, snr: Tensor) -> Tensor:
        if min(feature.shape[-2:]) < PATCH:
            return torch.zeros_like(feature)
        reliable = F.avg_pool2d(snr, PATCH).flatten(1) > 0.5
        tokens = F.unfold(feature, PATCH, stride=PATCH).mT
        for layer in self.layers:
            tokens = run_block(layer, tokens, reliable, with_cp=self.with_cp)
        return F.fold(tokens.mT, feature.shape[-2:], PATCH, stride=PATCH)


def conv(inputs: int, outputs: int, stride: int = 1, upsample: bool = False) -> nn.Sequential:
    """3x3 convolution and LeakyReLU; with ``upsample`` to twice the size."""
    layers: list[nn.Module]
    if upsample:
        layers = [nn.Conv2d(inputs, 4 * outputs, 3, padding=1), nn.PixelShuffle(2)]
    else:
        layers = [nn.Conv2d(inputs, outputs, 3, stride, padding=1)]
    return nn.Sequential(*layers, nn.LeakyReLU(0.1, inplace=True))


@MODELS.register_module()
class SNRNet(EnhancementNet):
    """SNR-LLIE-Net (Xu et al., CVPR 2022): noisy regions are restored from long-range context, clean ones by local convolutions.

    At a quarter of the resolution a convolutional branch (short range) and a transformer (long range) are blended pixel by pixel
    according to the signal-to-noise ratio of the image. Peak memory grows linearly with the number of pixels, the time of the
    attention with its square.

    Args:
        channels (int): Width of the features. Defaults to 64.
        layers (int): Layers of the transformer. Defaults to 6.
        se (dict, optional): SE modules on the decoder's features at 1/4, 1/2 and 1/1, each before the skip connection from the
            encoder (see :class:`SEModuleList`). Defaults to None.
        size_divisor (int): :class:`SKFEditor` pads images to multiples of it; a multiple of 4. With 16, the side of a patch in
            pixels, every pixel gets its long-range part. With 4, as in the released code, the last rows and columns of an image
            have none if its sides are not multiples of 16 (8 columns of 600). Defaults to 16.
        with_cp (bool): Whether to use activation checkpointing for the layers of the transformer and the SE modules. Less memory
            in training, more time, and the same result. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1], H and W multiples of ``size_divisor`` -> (N, 3, H, W), unclamped

    Raises:
        ValueError: If ``size_divisor`` is not a positive multiple of 4.
    """
    max_pixels = 400_000

    def __init__(self,
                 channels: int = 64,
                 layers: int = 6,
                 se: dict | None = None,
                 size_divisor: int = 16,
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        from mmagic.models.archs import ResidualBlockNoBN  # imports all of mmagic's models, which takes seconds
        from mmagic.models.utils import make_layer
        super().__init__(init_cfg)
        if size_divisor <= 0 or size_divisor % 4:
            raise ValueError(f'size_divisor of SNRNet is {size_divisor}, but the network halves the image twice: set it to '
                             '16 (recommended) or another positive multiple of 4')
        self.size_divisor = size_divisor
        self.with_cp = with_cp
        self.shallow = conv(3, channels)
        self.down2 = conv(channels, channels, stride=2)
        self.down4 = conv(channels, channels, stride=2)
        self.encoder = make_layer(ResidualBlockNoBN, 1, mid_channels=channels)
        self.short_range = make_layer(ResidualBlockNoBN, 6, mid_channels=channels)
        self.long_range = LongRangeBranch(channels, layers, with_cp)
        self.fusion = make_layer(ResidualBlockNoBN, 1, mid_channels=channels)
        self.up2 = conv(2 * channels, channels, upsample=True)
        self.up1 = conv(2 * channels, channels, upsample=True)
        self.refine = conv(2 * channels, channels)
        self.to_rgb = nn.Conv2d(channels, 3, 3, padding=1)
        self.se = SEModuleList(se, channels=(channels, channels, channels), with_cp=with_cp)

    def maps_of_whole(self, inputs: Tensor) -> dict[str, Tensor]:
        """The signal-to-noise map, which is relative to its largest value: see :class:`EnhancementNet`."""
        return dict(snr=snr_map(inputs, box_blur(inputs)))

    def forward(self,
                inputs: Tensor,
                prior: Prior = None,
                snr: Tensor | None = None) -> Tensor:
        """Enhances a batch of images.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].
            prior (SemanticPrior, optional): For the SE modules, which are skipped without one.
            snr (Tensor, optional): Signal-to-noise map (N, 1, H, W) in [0, 1]. Defaults to the :func:`snr_map` of the
                inputs and their :func:`box_blur`.

        Returns:
            Tensor: The enhanced images (N, 3, H, W).
        """
        if snr is None:
            snr, = self.maps_of_whole(inputs).values()
        # Convolutions on CPUs are faster in this format, and everything after the first one inherits it.
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        f1 = self.shallow(inputs)
        f2 = self.down2(f1)
        f4 = self.down4(f2)

        encoded = self.encoder(f4)
        snr = F.interpolate(snr, size=encoded.shape[-2:])
        # A sum inherits the format of its first term, and the transformer's is another.
        fused = self.short_range(encoded) * snr + self.long_range(encoded, snr) * (1 - snr)

        feature = self.se(0, self.fusion(fused), prior)
        feature = self.se(1, self.up2(torch.cat([feature, f4], dim=1)), prior)
        feature = self.se(2, self.up1(torch.cat([feature, f2], dim=1)), prior)
        return inputs + self.to_rgb(self.refine(torch.cat([feature, f1], dim=1)))

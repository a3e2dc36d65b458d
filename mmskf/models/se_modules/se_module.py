import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmskf.models.checkpointing import run_block
from mmskf.models.layer_norm import LayerNorm2d
from mmskf.models.resize import resize_nearest
from mmskf.models.whole_image import whole_image
from mmskf.registry import MODELS


class CrossChannelAttention(BaseModule):
    """Transposed cross-attention between the channels of an image feature and a semantic feature (SKF, Eq. 4).

    Queries come from the semantic feature, keys and values from the image feature. As in the released code, queries and keys are
    L2-normalized over space, and a learned temperature replaces the 1 / sqrt(C) of Eq. 4.

    Args:
        channels (int): Channels of both features.
        heads (int): Number of attention heads, which split the channels.

    Shape:
        image (N, channels, H, W), semantic (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.kv = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        self.kv_dwconv = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels, bias=False)
        self.q = nn.Conv2d(channels, channels, 1, bias=False)
        self.q_conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, image: Tensor, semantic: Tensor) -> Tensor:
        key, value = self.kv_dwconv(self.kv(image)).chunk(2, dim=1)
        query = self.q_conv(self.q(semantic))
        query, key, value = (x.flatten(2).unflatten(1, (self.heads, -1)) for x in (query, key, value))
        attention = whole_image((cosines(query, key) * self.temperature).softmax(dim=-1))
        return self.project_out((attention @ value).flatten(1, 2).unflatten(-1, image.shape[-2:]))


def cosines(query: Tensor, key: Tensor) -> Tensor:
    """Cosines between the rows of two matrices (..., m, n) and (..., k, n) -> (..., m, k), in the type of the query.

    The product is normalized instead of its factors, which are large. It is computed at least in float32: half precision would
    overflow.
    """
    kind = query.dtype
    with torch.autocast(query.device.type, enabled=False):
        query, key = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (query, key))
        lengths = [x.square().sum(dim=-1, keepdim=True).clamp(min=1e-24).sqrt() for x in (query, key)]
        return (query @ key.mT / (lengths[0] * lengths[1].mT)).to(kind)


class GatedFFN(BaseModule):
    """Restormer's feed-forward network: one half of the hidden channels gates the other (FN of Eq. 5).

    Args:
        channels (int): Channels of the input and the output.
        hidden (int): Channels after the gate.
        gelu (str): 'none' for the exact GELU, 'tanh' for its approximation.

    Shape:
        (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, hidden: int, gelu: str):
        super().__init__()
        self.gelu = gelu
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        gate, content = self.dwconv(self.project_in(image)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate, approximate=self.gelu) * content)


class DualFFN(BaseModule):
    """Feed-forward network of the released SNR-LLIE-Net-SKF: image and semantic feature gate each other (FN of Eq. 5).

    Args:
        channels (int): Channels of both inputs and the output.
        hidden (int): Channels of the product.
        gelu (str): 'none' for the exact GELU, 'tanh' for its approximation.

    Shape:
        image (N, channels, H, W), semantic (N, channels, H, W) -> (N, channels, H, W)
    """

    def __init__(self, channels: int, hidden: int, gelu: str):
        super().__init__()
        self.gelu = gelu
        self.project_image = nn.Conv2d(channels, hidden, 1, bias=False)
        self.project_semantic = nn.Conv2d(channels, hidden, 1, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, image: Tensor, semantic: Tensor) -> Tensor:
        image = F.gelu(self.project_image(image), approximate=self.gelu)
        semantic = F.gelu(self.project_semantic(semantic), approximate=self.gelu)
        return self.project_out(image * semantic)


FFNS: dict[str, type[GatedFFN] | type[DualFFN]] = {'gdfn': GatedFFN, 'dual': DualFFN}
GELUS = ('none', 'tanh')


@MODELS.register_module()
class SEModule(BaseModule):
    """Semantic-aware embedding (SKF, section 3.2, Eq. 4 and 5): refines an image feature with a semantic feature.

    As in the released code, both features share one LayerNorm and the residual connection starts from the normalized image
    feature. The defaults are the module of LLFlow-S; the others differ in ``ffn``, ``bottleneck``, ``expansion`` and ``gelu``.

    Args:
        channels (int): Channels of the image feature, kept in the output.
        semantic_channels (int): Channels of the semantic feature.
        heads (int): Heads of the attention. Defaults to 2.
        expansion (float): Hidden channels of the feed-forward network, relative to its input. Defaults to 2.66.
        ffn (str): 'gdfn' (gated by the image alone) or 'dual' (image and semantic feature gate each other, as in
            SNR-LLIE-Net-SKF). Defaults to 'gdfn'.
        bottleneck (int, optional): Width inside the module, with a 1x1 convolution before and after it (LLFlow-L: 192).
            Defaults to None: ``channels``, without these convolutions.
        gelu (str): 'none' (exact) or 'tanh' (approximation, as in DRBN-SKF). Defaults to 'none'.
        with_cp (bool): Whether to use activation checkpointing for the attention and for the feed-forward network. Less memory in
            training, more time, and the same result. Defaults to False.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        image (N, channels, H, W), semantic (N, semantic_channels, h, w) -> (N, channels, H, W); the semantic feature is resized
        to the image feature (nearest).

    Raises:
        ValueError: If ``ffn`` or ``gelu`` is unknown, ``heads`` does not divide the width, or the inputs have other channels.
    """

    def __init__(self,
                 channels: int,
                 semantic_channels: int,
                 heads: int = 2,
                 expansion: float = 2.66,
                 ffn: str = 'gdfn',
                 bottleneck: int | None = None,
                 gelu: str = 'none',
                 with_cp: bool = False,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if ffn not in FFNS:
            raise ValueError(f'ffn of SEModule is {ffn!r}; choose one of {list(FFNS)}')
        if gelu not in GELUS:
            raise ValueError(f'gelu of SEModule is {gelu!r}; choose one of {list(GELUS)}')
        width = bottleneck or channels
        if width % heads:
            raise ValueError(f'heads of SEModule is {heads}, which does not divide the {width} channels inside; '
                             'change heads or ' + ('bottleneck' if bottleneck else 'channels'))
        self.with_cp = with_cp
        self.channels = channels
        self.semantic_channels = semantic_channels
        self.ffn_uses_semantic = ffn == 'dual'
        self.embed = nn.Conv2d(semantic_channels, width, 1)
        self.reduce = nn.Conv2d(channels, width, 1) if bottleneck else nn.Identity()
        self.norm1 = LayerNorm2d(width)
        self.attn = CrossChannelAttention(width, heads)
        self.norm2 = LayerNorm2d(width)
        self.ffn = FFNS[ffn](width, int(width * expansion), gelu)
        self.expand = nn.Conv2d(width, channels, 1) if bottleneck else nn.Identity()

    def forward(self, image: Tensor, semantic: Tensor) -> Tensor:
        self._check('image', image, self.channels)
        self._check('semantic', semantic, self.semantic_channels)
        # Embedding and norm are pixelwise, so they commute with the nearest resize and are cheaper before it.
        semantic = resize_nearest(self.norm1(self.embed(semantic)), image.shape[-2:])
        image = run_block(self._attend, image, semantic, with_cp=self.with_cp)
        return run_block(self._feed_forward, image, semantic, with_cp=self.with_cp)

    def _attend(self, image: Tensor, semantic: Tensor) -> Tensor:
        image = self.norm1(self.reduce(image))
        return image + self.attn(image, semantic)

    def _feed_forward(self, image: Tensor, semantic: Tensor) -> Tensor:
        ffn_inputs = (image, semantic) if self.ffn_uses_semantic else (image, )
        return self.expand(image + self.ffn(*map(self.norm2, ffn_inputs)))

    @staticmethod
    def _check(name: str, feature: Tensor, channels: int) -> None:
        if feature.ndim != 4 or feature.size(1) != channels:
            field = 'channels' if name == 'image' else 'semantic_channels'
            raise ValueError(f'The {name} feature given to SEModule has shape {tuple(feature.shape)}, expected '
                             f'(N, {channels}, H, W): set {field} to the width of this feature, or choose another source')

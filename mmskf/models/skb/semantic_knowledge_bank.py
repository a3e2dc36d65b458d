from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmskf.registry import MODELS
from mmskf.utils.image import swap_rgb

from .knowledge_bank import KnowledgeBank, outputs_of
from .segmentor import HEADS_OF_MMDET, build_segmentor

if TYPE_CHECKING:
    from mmseg.models.segmentors.base import BaseSegmentor


@MODELS.register_module()
class SemanticKnowledgeBank(KnowledgeBank):
    """An mmsegmentation segmentor as the knowledge bank, the default: the paper's HRNet or any other.

    The prior's features are the feature maps of its backbone, sorted from fine to coarse.

    Args:
        config (str, optional): Config of the segmentor: a path, or ``'mmseg::...'`` for one of mmsegmentation's own.
        model (dict, optional): The segmentor itself or, if ``config`` is given, changes to its ``model``. Types without a prefix
            are mmsegmentation's.
        checkpoint (str, optional): Path, URL or ``mmskf://...`` of the segmentor's weights. Defaults to None: random weights.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` scales the image to 0..255 and normalizes it with the mean,
            std and channel order of the segmentor's own data preprocessor.

    Raises:
        ValueError: If the config contains no segmentor, or as in :class:`KnowledgeBank`.
        ImportError: If the segmentor needs a package that is not installed, such as mmdet.
    """

    training_only = ('auxiliary_head.', )
    classes_field = 'skb.model.decode_head.num_classes'

    def __init__(self,
                 config: str | None = None,
                 model: dict | None = None,
                 checkpoint: str | None = None,
                 **options: Any):
        super().__init__(build_segmentor(config, model), config or 'skb.model', checkpoint, **options)
        if self.mean_std == 'model' and not hasattr(self.segmentor.data_preprocessor, 'mean'):
            raise ValueError(f'The segmentor of {self.name} has no data_preprocessor with mean and std: give it one, or '
                             'set skb.mean_std=None to feed it the image in [0, 1]')

    @property
    def segmentor(self) -> 'BaseSegmentor':
        """The segmentation network."""
        return self.network

    @property
    def label(self) -> str:
        """The name of the network in error messages."""
        return f'The backbone {type(self.segmentor.backbone).__name__} of {self.name}'

    def segment(self, x: Tensor) -> tuple[Any, Tensor]:
        """Backbone features, captured on the way, and class scores: segmentors differ in how they compute these from those."""
        size = tuple(x.shape[-2:])
        with outputs_of(self.segmentor.backbone) as features:
            logits = self.segmentor.encode_decode(x, [dict(img_shape=size, ori_shape=size, pad_shape=size)] * len(x))
        if type(self.segmentor.decode_head).__name__ in HEADS_OF_MMDET:
            # Nonnegative sums of mask probabilities over the queries: normalized over the classes, they are the semantic map.
            logits = logits.clamp(min=torch.finfo(logits.dtype).tiny).log()
        return features, logits

    def extract(self, x: Tensor) -> Any:
        """Backbone features; neither neck nor head is computed."""
        return self.segmentor.backbone(x)

    def normalize(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] -> what the segmentor's own data preprocessor would return."""
        preprocessor = self.segmentor.data_preprocessor
        if not preprocessor.channel_conversion:
            image = swap_rgb(image)  # The segmentor was trained on mmcv's channel order: BGR.
        return (image * 255 - preprocessor.mean) / preprocessor.std

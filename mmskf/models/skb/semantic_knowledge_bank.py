from typing import Any

import torch
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.utils.image import swap_rgb

from .knowledge_bank import KnowledgeBank, outputs_of
from .segmentor import HEADS_OF_MMDET, build_segmentor


@MODELS.register_module()
class SemanticKnowledgeBank(KnowledgeBank):
    """A segmentor of mmsegmentation as the knowledge bank, the default: the paper's HRNet or any other.

    The prior's features are the maps of its backbone, sorted from fine to coarse.

    Args:
        config (str, optional): Configuration of the segmentor: a path, or ``'mmseg::...'`` for one of mmsegmentation's own.
        model (dict, optional): The segmentor itself, or where ``config`` is given what to change in its ``model``. Types
            without a prefix are mmsegmentation's.
        checkpoint (str, optional): Path, URL or ``mmskf://...`` of the segmentor's weights. Defaults to None: random ones.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` brings the image to 0..255 and normalizes it by mean, std and
            channel order of the segmentor's own data preprocessor.

    Raises:
        ValueError: If the configuration names no segmentor, or as :class:`KnowledgeBank`.
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
    def segmentor(self) -> nn.Module:
        """The segmentation network."""
        return self.network

    @property
    def label(self) -> str:
        """What errors call the network."""
        return f'The backbone {type(self.segmentor.backbone).__name__} of {self.name}'

    def segment(self, x: Tensor) -> tuple[Any, Tensor]:
        """Backbone features, taken in passing, and class scores: segmentors differ in how they get from one to the other."""
        size = tuple(x.shape[-2:])
        with outputs_of(self.segmentor.backbone) as features:
            logits = self.segmentor.encode_decode(x, [dict(img_shape=size, ori_shape=size, pad_shape=size)] * len(x))
        if type(self.segmentor.decode_head).__name__ in HEADS_OF_MMDET:
            # Sums of mask probabilities over the queries, none of which is negative: the semantic map is their share.
            logits = logits.clamp(min=torch.finfo(logits.dtype).tiny).log()
        return features, logits

    def normalize(self, image: Tensor) -> Tensor:
        """RGB in [0, 1] -> what the segmentor's own data preprocessor makes of it."""
        preprocessor = self.segmentor.data_preprocessor
        if not preprocessor.channel_conversion:
            image = swap_rgb(image)  # The segmentor was trained on what mmcv reads: BGR.
        return (image * 255 - preprocessor.mean) / preprocessor.std

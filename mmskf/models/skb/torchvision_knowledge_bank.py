from typing import Any

import torch
from torch import Tensor, nn

from mmskf.registry import MODELS

from .knowledge_bank import PROBE_SIDES, KnowledgeBank, outputs_of


@MODELS.register_module()
class TorchvisionKnowledgeBank(KnowledgeBank):
    """A torchvision segmentation network as the knowledge bank: LR-ASPP, DeepLabV3 or FCN.

    The prior's features are the backbone's last feature map at each resolution.

    Args:
        model (dict): ``type``, such as 'lraspp_mobilenet_v3_large', 'deeplabv3_mobilenet_v3_large', 'deeplabv3_resnet50',
            'fcn_resnet50', and its options, such as ``num_classes`` (default: 21).
        checkpoint (str, optional): Path or URL of a state dict, or one of torchvision's own, such as
            'COCO_WITH_VOC_LABELS_V1' or 'DEFAULT'. Defaults to None: random weights.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` is ImageNet's, which all torchvision weights use.

    Raises:
        ValueError: If torchvision has no such network, or as in :class:`KnowledgeBank`.
    """

    training_only = ('aux_classifier.', )

    def __init__(self, model: dict, checkpoint: str | None = None, **options: Any):
        # Importing it takes a second, which only those who use it should wait.
        from torchvision.models import get_model, get_model_weights, list_models, segmentation
        model = dict(model)
        name, known = model.pop('type', None), list_models(segmentation)
        if name not in known:
            raise ValueError(f'skb.model.type={name!r} is not a segmentation network of torchvision: choose from {known}')
        released = get_model_weights(name).__members__
        if checkpoint in released:
            checkpoint = released[checkpoint].url
        network = get_model(name, **model, weights=None, weights_backbone=None).eval()
        self._layers = _last_of_each_resolution(network.backbone)
        super().__init__(network, 'skb.model', checkpoint, **options)

    def segment(self, x: Tensor) -> tuple[Any, Tensor]:
        """The backbone's last feature map at each resolution, and class scores."""
        with outputs_of(*self._layers) as features:
            logits = self.network(x)['out']
        return features, logits

    def extract(self, x: Tensor) -> Any:
        """The backbone's features; the head is not computed."""
        with outputs_of(*self._layers) as features:
            self.network.get_submodule('backbone')(x)
        return features


@torch.no_grad()
def _last_of_each_resolution(backbone: nn.Module) -> list[nn.Module]:
    layers = list(backbone.children())
    with outputs_of(*layers) as outputs:
        backbone(torch.zeros(1, 3, PROBE_SIDES[0], PROBE_SIDES[0]))
    return list({output.shape[-2:]: layer for layer, output in zip(layers, outputs)}.values())

from typing import Any

from torch import Tensor

from mmskf.registry import MODELS

from .knowledge_bank import KnowledgeBank, import_optional, outputs_of


@MODELS.register_module()
class SMPKnowledgeBank(KnowledgeBank):
    """A segmentation_models.pytorch network as the knowledge bank; that package is optional.

    The prior's features are those of the encoder.

    Args:
        model (dict): ``type``, such as 'Unet', 'FPN', 'DeepLabV3Plus', and its options: ``encoder_name``, ``classes``...
        checkpoint (str, optional): Path or URL of the network's state dict. Defaults to None: random weights.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` is ImageNet's, which is right for most encoders; for others
            give a dict.

    Raises:
        ImportError: If segmentation_models_pytorch is not installed.
        ValueError: If it has no such network, or as in :class:`KnowledgeBank`.
    """

    training_only = ('classification_head.', )
    classes_field = 'skb.model.classes'

    def __init__(self, model: dict, checkpoint: str | None = None, **options: Any):
        smp = import_optional('segmentation_models_pytorch', type(self).__name__, 'segmentation-models-pytorch')
        model = dict(model)
        name, known = model.pop('type', None), {kind.__name__: kind for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}
        if name not in known:
            raise ValueError(f'skb.model.type={name!r} is not a network of segmentation_models.pytorch: choose from {[*known]}')
        # The weights come only from the checkpoint, and a classification head is useless here.
        network = known[name](**dict(model, encoder_weights=None, aux_params=None))
        super().__init__(network, 'skb.model', checkpoint, **options)

    def segment(self, x: Tensor) -> tuple[Any, Tensor]:
        """The encoder's features except the first, which is the image itself, and class scores."""
        with outputs_of(self.network.get_submodule('encoder')) as outputs:
            logits = self.network(x)
        return outputs[0][1:], logits

    def extract(self, x: Tensor) -> Any:
        """The encoder's features; the decoder is not computed."""
        return self.network.get_submodule('encoder')(x)[1:]

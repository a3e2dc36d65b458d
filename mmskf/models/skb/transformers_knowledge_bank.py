from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from mmskf.registry import MODELS

from .knowledge_bank import IMAGENET, KnowledgeBank, explain_unreadable, import_optional

# Distinguishes a missing file from a name on the hub.
FILES = ('.pth', '.pt', '.bin', '.ckpt')


@MODELS.register_module()
class TransformersKnowledgeBank(KnowledgeBank):
    """A Hugging Face transformers network as the knowledge bank.

    A model type with a semantic segmentation head (SegFormer) returns features and class scores. Other vision models (DINOv2;
    DINOv3 if the installed transformers has it) return features only, those of the layers ``out_indices``, by default the last:
    SE modules can read them, the SCH and SA losses need class scores.

    Building never downloads: the configuration is written out as ``model``, or read from a folder or from the cache.

    Args:
        config (str, optional): Folder with a ``config.json``, or the name of a model on the hub that is in the cache.
        model (dict, optional): Fields of the configuration to change, or all of it with ``model_type``, such as
            ``dict(model_type='dinov2', hidden_size=384, num_attention_heads=6, out_indices=(3, 6, 9, 12))``.
        checkpoint (str, optional): Folder or name of a model on the hub, or path or URL of a state dict. Defaults to None:
            random weights.
        **options: See :class:`KnowledgeBank`. ``mean_std='model'`` is that of the image processor in the folder of ``config``,
            or ImageNet's if there is none.

    Raises:
        ImportError: If transformers is not installed.
        ValueError: If its version has no such model, or as in :class:`KnowledgeBank`.
    """

    classes_field = 'skb.model.num_labels'

    def __init__(self,
                 config: str | None = None,
                 model: dict | None = None,
                 checkpoint: str | None = None,
                 **options: Any):
        transformers = import_optional('transformers', type(self).__name__, 'transformers<4.49')
        network = _build(transformers, config, dict(model or {}))
        patch = getattr(network.config, 'patch_size', None)
        if isinstance(patch, int):
            self.patch_size = patch
        self.model_mean_std = _mean_std(transformers, config)
        super().__init__(network, config or 'skb.model', checkpoint, **options)

    def segment(self, x: Tensor) -> tuple[Any, Tensor | None]:
        """Feature maps, and class scores if the network has them."""
        output = self.network(x, output_hidden_states=True)
        if hasattr(output, 'logits'):
            return output.hidden_states, output.logits
        if hasattr(output, 'feature_maps'):
            return output.feature_maps, None
        layers = getattr(self.network.config, 'out_indices', None) or (-1, )
        return [self._to_map(output.hidden_states[layer], x.shape[-2:]) for layer in layers], None

    def _to_map(self, hidden: Tensor, size: Sequence[int]) -> Tensor:
        """The patch tokens of a vision transformer (N, tokens, C), normalized as after its last layer, as (N, C, h, w)."""
        if hidden.ndim == 4:
            return hidden
        norm = getattr(self.network, 'layernorm', None) or self.network.get_submodule('norm')
        height, width = (side // self.patch_size for side in size)
        # Class and register tokens come first.
        return norm(hidden)[:, -height * width:].transpose(1, 2).unflatten(2, (height, width))

    def read_weights(self, checkpoint: str) -> None:
        """Reads weights: a folder or name with transformers' own loader, which knows older key names, a file strictly.

        Raises:
            RuntimeError: If the checkpoint cannot be read or does not belong to the network.
        """
        if '://' in checkpoint or Path(checkpoint).is_file() or Path(checkpoint).suffix in FILES:
            return super().read_weights(checkpoint)
        with explain_unreadable(checkpoint):
            loaded, report = type(self.network).from_pretrained(  # type: ignore[attr-defined]  # a PreTrainedModel
                checkpoint, config=self.network.config, output_loading_info=True, ignore_mismatched_sizes=True)
        wrong = {'missing': report['missing_keys'], 'of another shape': report['mismatched_keys']}
        if any(wrong.values()):
            found = '; '.join(f'{len(keys)} keys are {what}, such as {sorted(keys)[0]}' for what, keys in wrong.items() if keys)
            raise RuntimeError(f'The weights in {checkpoint} are not those of the network of {self.name}: {found}')
        self.network.load_state_dict(loaded.state_dict())


def _build(transformers: ModuleType, config: str | None, changes: dict) -> nn.Module:
    version = f'transformers {transformers.__version__}'
    if config is not None:
        try:
            configuration = transformers.AutoConfig.from_pretrained(config, local_files_only=True, **changes)
        except (OSError, ValueError) as error:
            raise ValueError(f'{version} finds no configuration in skb.config={config!r} ({str(error).splitlines()[0]}). Give a '
                             'folder with a config.json of a model that this version knows, or write the configuration out as '
                             'skb.model') from error
    else:
        kind = changes.pop('model_type', None)
        if kind not in transformers.CONFIG_MAPPING:
            raise ValueError(f'{version} does not know skb.model.model_type={kind!r}: check its name, or look for a version that '
                             'knows it (DINOv3 needs 4.56 or later)')
        configuration = transformers.AutoConfig.for_model(kind, **changes)
    kinds = {'AutoModelForSemanticSegmentation': transformers.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING,
             'AutoBackbone': transformers.MODEL_FOR_BACKBONE_MAPPING}
    for kind, known in kinds.items():
        if type(configuration) in known:
            return getattr(transformers, kind).from_config(configuration)
    if getattr(configuration, 'num_channels', None) == 3:
        return transformers.AutoModel.from_config(configuration)
    raise ValueError(f'skb.model.model_type={configuration.model_type!r} of {version} is not a network for RGB images')


def _mean_std(transformers: ModuleType, config: str | None) -> dict:
    try:
        found, _ = transformers.ImageProcessingMixin.get_image_processor_dict(config, local_files_only=True)
    except (OSError, TypeError):  # there is no such file, or no config
        found = {}
    return dict(mean=found.get('image_mean', IMAGENET['mean']), std=found.get('image_std', IMAGENET['std']))

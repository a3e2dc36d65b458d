"""What the classes of a knowledge bank are called."""
from typing import List, Optional, Sequence

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn


def class_names(bank: nn.Module) -> List[str]:
    """The names of the classes of a knowledge bank, in the order of its logits.

    They come from its checkpoint (``meta``) or from the data set of its config, whichever has as many as the bank; where
    neither has, they are 'class 0', 'class 1'...

    Args:
        bank (SemanticKnowledgeBank): The bank, with ``checkpoint``, ``name`` and ``num_classes``.
    """
    for names in (_of_checkpoint(bank.checkpoint), _of_config(bank.name)):
        if names and len(names) == bank.num_classes:
            return list(names)
    return [f'class {index}' for index in range(bank.num_classes)]


def _of_checkpoint(checkpoint: Optional[str]) -> Optional[Sequence[str]]:
    try:
        meta = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent').get('meta') or {}
    except Exception:  # The bank says what is wrong with its checkpoint; here names are all that is lost.
        return None
    meta = meta.get('dataset_meta') or meta
    return meta.get('classes') or meta.get('CLASSES')


def _of_config(name: str) -> Optional[Sequence[str]]:
    from mmseg.registry import DATASETS

    try:
        cfg = get_config(name) if '::' in name else Config.fromfile(name)
        dataset = cfg.test_dataloader.dataset
    except Exception:  # No config, or none that says what it was trained on.
        return None
    kind = DATASETS.get(dataset.type)
    return (dataset.get('metainfo') or {}).get('classes') or getattr(kind, 'METAINFO', {}).get('classes')

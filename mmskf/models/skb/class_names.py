"""Names of the classes of a knowledge bank."""
from collections.abc import Sequence

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner.checkpoint import CheckpointLoader

from .knowledge_bank import KnowledgeBank


def class_names(bank: KnowledgeBank) -> list[str]:
    """The names of the classes of a knowledge bank, in the order of its logits.

    They come from its checkpoint (``meta``) or from the data set of its config, whichever has as many as the bank; if neither
    does, they are 'class 0', 'class 1'...

    Args:
        bank (KnowledgeBank): The bank.
    """
    for names in (_of_checkpoint(bank.checkpoint), _of_config(bank.name)):
        if names and len(names) == bank.num_classes:
            return list(names)
    return [f'class {index}' for index in range(bank.num_classes)]


def _of_checkpoint(checkpoint: str | None) -> Sequence[str] | None:
    try:
        meta = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu', logger='silent').get('meta') or {}
    except Exception:  # The bank reports what is wrong with its checkpoint; here only the names are lost.
        return None
    meta = meta.get('dataset_meta') or meta
    return meta.get('classes') or meta.get('CLASSES')


def _of_config(name: str) -> Sequence[str] | None:
    from mmseg.registry import DATASETS

    try:
        cfg = get_config(name) if '::' in name else Config.fromfile(name)
        dataset = cfg.test_dataloader.dataset
    except Exception:  # No config, or none that names its training data.
        return None
    kind = DATASETS.get(dataset.type)
    return (dataset.get('metainfo') or {}).get('classes') or getattr(kind, 'METAINFO', {}).get('classes')

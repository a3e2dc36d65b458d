"""Low-light photos without ground truth, on which a method can be evaluated by NIQE only."""
import logging
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from mmengine.logging import print_log

# The data sets used in papers, each a folder of photos, and their numbers of photos.
UNPAIRED_SETS = dict(MEF=17, LIME=10, NPE=85, DICM=64, VV=24)


def without_ground_truth(pipeline: Sequence[dict]) -> list[dict]:
    """A method's test pipeline for photos without ground truth: all steps except those that read one."""
    return [step for step in pipeline if step.get('key') != 'gt']


def unpaired_sets(root: str | Path) -> list[str]:
    """The data sets of ``UNPAIRED_SETS`` that are in a folder; missing ones are logged.

    Raises:
        FileNotFoundError: If none of them is there.
    """
    found = [name for name in UNPAIRED_SETS if (Path(root) / name).is_dir()]
    absent = [name for name in UNPAIRED_SETS if name not in found]
    if not found:
        raise FileNotFoundError(f'{root} has none of the folders {", ".join(absent)}: give the folder that contains one or more '
                                'of these data sets of photos without ground truth')
    if absent:
        print_log(f'{root} has no {" and no ".join(absent)}: tested on {", ".join(found)} only', logger='current',
                  level=logging.WARNING)
    return found


def unpaired_tests(loader: dict, root: str | Path) -> tuple[list[dict], list[dict]]:
    """The configs to test a method on photos without ground truth: a data loader and an evaluator (NIQE) per data set.

    Args:
        loader (dict): ``test_dataloader`` of the method's config. Its pipeline is kept except for the ground truth, so that
            LLFlow gets its equalized image, and KinD an image stretched to the full range.
        root (str | Path): Folder with one or more of MEF, LIME, NPE, DICM and VV; missing ones are logged.

    Returns:
        tuple[list[dict], list[dict]]: Configs for ``test_dataloader`` and ``test_evaluator`` of mmagic's ``MultiTestLoop``, in
        the order of ``UNPAIRED_SETS``. A score is named after its data set: 'LIME/NIQE'.

    Raises:
        FileNotFoundError: If none of the data sets is there.
    """
    found = unpaired_sets(root)
    loaders = []
    for name in found:
        dataset = dict(
            type='EnhancementDataset',
            metainfo=dict(num_images=UNPAIRED_SETS[name]),
            data_root=str(root),
            data_prefix=dict(img=name),
            pipeline=without_ground_truth(deepcopy(loader['dataset']['pipeline'])),
            test_mode=True)
        loaders.append(dict(deepcopy(loader), dataset=dataset))
    return loaders, [dict(type='Evaluator', metrics=[dict(type='NIQE', prefix=name)]) for name in found]

"""Low-light photos without ground truth, on which a method can be tested by NIQE alone."""
import logging
from copy import deepcopy
from pathlib import Path
from typing import List, Sequence, Tuple, Union

from mmengine.logging import print_log

# The data sets that papers test on, each a folder of photos, and how many these are.
UNPAIRED_SETS = dict(MEF=17, LIME=10, NPE=85, DICM=64, VV=24)


def without_ground_truth(pipeline: Sequence[dict]) -> List[dict]:
    """A method's test pipeline for photos without ground truth: all its steps but those that read one."""
    return [step for step in pipeline if step.get('key') != 'gt']


def unpaired_tests(loader: dict, root: Union[str, Path]) -> Tuple[List[dict], List[dict]]:
    """What a method's test on photos without ground truth needs: a data loader and an evaluator (NIQE) for each data set.

    Args:
        loader (dict): ``test_dataloader`` of the method's config. Its pipeline stays but for the ground truth, so that LLFlow
            gets its equalized image, and KinD an image at its full range.
        root (str | Path): Folder with one or more of MEF, LIME, NPE, DICM and VV; which of them are absent is logged.

    Returns:
        tuple[list[dict], list[dict]]: Configs for ``test_dataloader`` and ``test_evaluator`` of mmagic's ``MultiTestLoop``, in
        the order of ``UNPAIRED_SETS``. A score is called after its data set: 'LIME/NIQE'.

    Raises:
        FileNotFoundError: If there is none of the data sets.
    """
    root = Path(root)
    found = [name for name in UNPAIRED_SETS if (root / name).is_dir()]
    absent = [name for name in UNPAIRED_SETS if name not in found]
    if not found:
        raise FileNotFoundError(f'{root} has none of the folders {", ".join(absent)}: give the folder that these data sets of '
                                'photos without ground truth lie in, one or more of them')
    if absent:
        print_log(f'{root} has no {" and no ".join(absent)}: tested on {", ".join(found)} alone', logger='current',
                  level=logging.WARNING)
    loaders = []
    for name in found:
        dataset = dict(
            type='EnhancementDataset',
            metainfo=dict(num_images=UNPAIRED_SETS[name]),
            data_root=str(root),
            data_prefix=dict(img=name),
            pipeline=without_ground_truth(deepcopy(loader['dataset']['pipeline'])),
            test_mode=True)
        loaders.append(dict(deepcopy(loader), dataset=dataset, persistent_workers=False))
    return loaders, [dict(type='Evaluator', metrics=[dict(type='NIQE', prefix=name)]) for name in found]

"""Parts of config files that tests write."""
from pathlib import Path

#: Makes the tiny segmentation network known.
SEGMENTOR = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parent)!r})
from tiny_segmentor import SEGMENTOR
del sys
"""
#: For a method of configs/_base_/methods: small crops of a folder of pairs, no worker processes, PSNR alone.
SMALL_DATA = """
_base_.val_evaluator.metrics = [dict(type='PSNR')]
test_evaluator = _base_.val_evaluator
next(step for step in _base_.train_dataloader.dataset.pipeline if step.type == 'RandomCrop').crop_size = 32
train_dataloader = dict(batch_size=2, num_workers=0, dataset=_base_.paired_folder.train)
val_dataloader = dict(num_workers=0, dataset=_base_.paired_folder.test)
test_dataloader = val_dataloader
"""

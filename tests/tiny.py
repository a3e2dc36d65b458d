"""A training in miniature: one 1x1 convolution, a handful of small image pairs, mmagic's loops."""
import cv2
import numpy as np
import torch
from mmagic.models import BaseEditModel
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from mmskf.engine import Runner
from mmskf.registry import MODELS


@MODELS.register_module()
class TinyGenerator(nn.Conv2d):
    """Multiplies an image by 2, until it is trained."""

    def __init__(self):
        super().__init__(3, 3, 1)
        nn.init.dirac_(self.weight)
        nn.init.zeros_(self.bias)
        self.weight.data *= 2


@MODELS.register_module()
class TinyEditor(BaseEditModel):
    """An image editor with the losses that a test asks for: ``spoil(losses, iteration)`` returns the losses."""

    def __init__(self):
        super().__init__(
            generator=dict(type='mmskf.TinyGenerator'), pixel_loss=dict(type='mmagic.L1Loss'),
            data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0.] * 3, std=[255.] * 3,
                                   output_channel_order='RGB'))
        self.spoil = lambda losses, iteration: losses
        self.iteration = 0

    def forward_train(self, inputs, data_samples=None, **kwargs):
        self.iteration += 1
        return self.spoil(super().forward_train(inputs, data_samples, **kwargs), self.iteration)


def write_pairs(folder, names=('1.png', '22.png', '111.png'), size=(24, 32), seed=0):
    """Writes ``low/NAME`` and ``normal/NAME``: random RGB images of (height, width), the low ones at half brightness."""
    random = np.random.default_rng(seed)
    for name in names:
        normal = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        for kind, image in (('low', normal // 2), ('normal', normal)):
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), image)
    return folder


def sample(pred, gt=None, path='low/1.png'):
    """What reaches a metric, from RGB arrays (H, W, 3)."""
    def tensor(image):
        return torch.from_numpy(np.ascontiguousarray(np.asarray(image, np.float32)[..., ::-1].transpose(2, 0, 1)))

    data = dict(img_path=path, output=dict(pred_img=tensor(pred)))
    return data if gt is None else dict(data, gt_img=tensor(gt))


def evaluate(metric, *samples):
    """The report of a metric on data samples, without a loop."""
    metric.size = len(samples)
    for data in samples:
        metric.process({}, [data])
    return metric.evaluate()


def loader(folder, gt=True, batch_size=1, **dataset):
    keys = ('img', 'gt') if gt else ('img',)
    return dict(
        batch_size=batch_size, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='mmagic.BasicImageDataset', data_root=str(folder),
            data_prefix={key: dict(img='low', gt='normal')[key] for key in keys},
            pipeline=[*(dict(type='mmagic.LoadImageFromFile', key=key) for key in keys), dict(type='mmagic.PackInputs')],
            **dataset))


def tiny_runner(work_dir, log_level='WARNING', **config):
    """A Runner of the tiny editor; ``config`` is what the Runner takes."""
    return Runner.from_cfg(Config(dict(
        model=dict(type='TinyEditor'), work_dir=str(work_dir), default_scope='mmskf', log_level=log_level,
        experiment_name=f'{work_dir.parent.name}_{work_dir.name}', **config)))


class KeepReport(Hook):
    """Keeps what a loop reports, which mmagic's loops do not return."""

    def after_test_epoch(self, runner, metrics=None):
        self.metrics = metrics

    after_val_epoch = after_test_epoch


def report_of_test(work_dir, loaders, evaluators, hooks=(), **config):
    """Tests the tiny editor and returns the report: name -> figure."""
    runner = tiny_runner(
        work_dir, test_cfg=dict(type='mmagic.MultiTestLoop'), test_dataloader=loaders, test_evaluator=evaluators,
        custom_hooks=list(hooks), **config)
    keep = KeepReport()
    runner.register_hook(keep)
    runner.test()
    return keep.metrics


def runner_for_training(work_dir, folder, hooks=(), iterations=4, lr=1e-3, checkpoint=None, **config):
    return tiny_runner(
        work_dir, train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations), train_dataloader=loader(folder),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr)), custom_hooks=list(hooks),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, **(checkpoint or dict(interval=1)))),
        **config)

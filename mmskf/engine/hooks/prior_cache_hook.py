import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, barrier, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from rich.filesize import decimal

from mmskf.datasets.prior_cache import PriorCache, PriorPipeline
from mmskf.registry import HOOKS
from mmskf.structures import SemanticPrior

from .progressive_patch_hook import ProgressivePatchHook

if TYPE_CHECKING:
    from mmskf.models import SKFEditor


@HOOKS.register_module()
class PriorCacheHook(Hook):
    """Computes the semantic prior of every training image once, instead of that of every crop in each iteration.

    Before the training, the knowledge bank sees each whole low-light image that is not yet in the cache. In the training, crops
    take their part of the cached features and class scores; random crops, flips and transpositions are followed. This is faster,
    and not the same: in the paper the bank sees the crop, with less context (docs/performance.md).

    The cache is in a subfolder named by a hash of the bank, so that priors of another bank, or of other weights, are never read;
    the files are named by hashes of the images.
    Several trainings can share it. In distributed training all processes see the same folder, and each computes its share.

    Args:
        folder (str | Path): Folder of the caches of all banks. Defaults to 'work_dirs/priors'.
        max_size (float): Largest size of the folder, in GB (10^9 bytes). Defaults to 50.

    Raises:
        OSError: If the cache would exceed ``max_size`` or the free space of the disk; before anything is computed.
        ValueError: If ``max_size`` is not a positive number, the bank sees anything but the low-light image, or the images are
            changed after they are loaded other than by crops, flips and transpositions.
    """

    def __init__(self, folder: str | Path = 'work_dirs/priors', max_size: float = 50.):
        if not isinstance(max_size, (int, float)) or max_size <= 0:
            raise ValueError(f'max_size of PriorCacheHook is {max_size!r}, expected a number of GB above 0')
        self.folder = Path(folder)
        self.max_size = max_size

    def before_train(self, runner: Runner) -> None:
        """Completes the cache, and makes the training read it."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        loop: Any = runner.train_loop
        if not hasattr(model, 'use_prior_cache'):
            raise ValueError(f'PriorCacheHook needs a model with a knowledge bank, such as those of configs/skf, but this is '
                             f'{type(model).__name__}')
        if any(isinstance(hook, ProgressivePatchHook) for hook in runner.hooks):
            raise ValueError('PriorCacheHook does not work with ProgressivePatchHook, which cuts patches after the images are '
                             'loaded: remove one of the two')
        if getattr(loop, 'dataloader_iterator', None) is not None:
            raise ValueError(f'PriorCacheHook does not work with {type(loop).__module__}.{type(loop).__name__}, which has '
                             'started to load images already: set train_cfg.type to IterBasedTrainLoop of mmskf')
        model.use_prior_cache()
        model.load_bank(training=True)
        cache = cache_of(model, self.folder)
        # SKF acts in the last stage of a training only.
        datasets = simple_datasets(getattr(loop, 'dataloaders', [loop.dataloader])[-1].dataset)
        for dataset in datasets:
            dataset.pipeline = PriorPipeline(dataset.pipeline, cache)
        self._fill(runner, model, cache, datasets)

    def _fill(self, runner: Runner, model: 'SKFEditor', cache: PriorCache, datasets: list) -> None:
        """Computes what is missing, after a check of the space that it takes."""
        samples = [(dataset.pipeline, dataset.get_data_info(index)) for dataset in datasets for index in range(len(dataset))]
        missing: dict[str, tuple[PriorPipeline, dict]] = {}
        needed = 0
        for pipeline, info in samples[get_rank()::get_world_size()]:
            key, size, _ = pipeline.whole(info)
            if key not in missing and not cache.has(key):
                missing[key] = pipeline, info
                needed += cache.num_bytes(size)
        # Before the processes wait for each other: afterwards one may already be writing.
        present = sum(path.stat().st_size for path in self.folder.rglob('*.safetensors'))
        total = torch.tensor([len(missing), needed])
        all_reduce(total)
        count, needed = total.tolist()
        if count:
            self._check_space(needed, present, cache)
        runner.logger.info(f'Prior cache {cache.folder}: {len(samples) - count} of {len(samples)} training images are there, '
                           f'{count} are computed now ({decimal(needed)})')
        todo = list(missing.items())
        try:
            for key, (pipeline, info) in track_iter_progress(todo) if todo and is_main_process() else todo:
                cache.write(key, prior_of(model, pipeline.whole(info)[2]))
        except KeyboardInterrupt:
            runner.logger.info('The prior cache is not complete yet. What is computed is kept: the same command, started again, '
                               'continues here')
            raise
        barrier()

    def _check_space(self, needed: int, present: int, cache: PriorCache) -> None:
        if present + needed > self.max_size * 1e9:
            raise OSError(f'The prior cache needs {decimal(needed)}, but {self.folder} has {decimal(present)} already, of at '
                          f'most {self.max_size:g} GB: raise max_size of PriorCacheHook, or delete the folders of other banks '
                          f'there (all but {cache.folder.name})')
        folder = self.folder.absolute()
        disk = next(place for place in (folder, *folder.parents) if place.exists())
        free = shutil.disk_usage(disk).free
        if needed > free:
            raise OSError(f'The prior cache needs {decimal(needed)}, but the disk of {self.folder} has {decimal(free)} left: set '
                          'folder of PriorCacheHook to another disk')


def cache_of(model: 'SKFEditor', folder: Path) -> PriorCache:
    """The cache of a model's knowledge bank in a folder of caches; with class scores if its training reads them."""
    bank: Any = model.skb
    preprocess: Any = model.data_preprocessor  # the bank sees what this makes of the pixels
    normalization = {name: value.tolist() for name, value in preprocess.named_buffers()}
    digest = hashlib.sha256(f'{bank.fingerprint()} {normalization} {preprocess.output_channel_order}'.encode())
    channels = {name: width for name, width in bank.channels.items() if name != 'logits' or model.reads_logits}
    return PriorCache(folder / digest.hexdigest()[:16], bank.strides, channels)


@torch.no_grad()
def prior_of(model: 'SKFEditor', sample: dict) -> SemanticPrior:
    """What a model's knowledge bank says of an image, as it comes from a data pipeline."""
    bank: Any = model.skb
    preprocess: Any = model.data_preprocessor
    inputs = preprocess(pseudo_collate([sample]), training=False)['inputs']
    return bank(inputs[:, :3], logits=model.reads_logits)


def simple_datasets(dataset: Any) -> list:
    """The data sets with a pipeline inside of wrappers, such as those that concatenate or repeat data sets."""
    inner = vars(dataset).get('datasets') or [vars(dataset).get('dataset')]
    return [dataset] if inner == [None] else [simple for part in inner for simple in simple_datasets(part)]

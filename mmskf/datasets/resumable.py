"""Data loaders that can start at any batch, without loading the ones before, and always return the same batch there.

The random numbers of a pipeline usually depend on everything that its worker process has drawn before. Here they depend only on
the position of the sample in the training, so neither the number of workers nor an interruption changes them.
"""
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

Position = tuple[int, int]


class PositionedBatches(Sampler):
    """Endless batches, starting at any one; a sampler that is exhausted is restarted, as its next epoch.

    Args:
        batches (Sampler): Yields the indices of one batch after another.

    Attributes:
        begin (int): Index of the batch that the next iterator starts with.
    """

    def __init__(self, batches: Any):
        self.batches = batches
        self.sampler = batches.sampler  # where mmengine's DistSamplerSeedHook looks for it
        self.begin = 0

    def __iter__(self) -> Iterator[list[tuple[int, Position]]]:
        for number, batch in islice(enumerate(self._endless()), self.begin, None):
            yield [(index, (number, place)) for place, index in enumerate(batch)]

    def _endless(self) -> Iterator[list[int]]:
        epoch = 0
        while True:
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)
            batch = None
            for batch in self.batches:
                yield batch
            if batch is None:
                raise ValueError(f'The training data set yields no batch: it has fewer images than batch_size='
                                 f'{getattr(self.batches, "batch_size", "?")}, and drop_last drops incomplete batches')
            epoch += 1

    def __len__(self) -> int:
        return len(self.batches)


class PositionedDataset(Dataset):
    """A data set whose random numbers depend on the position: it is reseeded for every sample.

    Args:
        dataset (Dataset): The data set.
        seed (int): Seed of the training; combined with the rank of the process.
    """

    def __init__(self, dataset: Any, seed: int):
        self.dataset = dataset
        self.seed = (seed, get_rank())

    def __getitem__(self, item: tuple[int, Position]) -> Any:
        index, position = item
        # Similar seeds give similar generators; SeedSequence mixes them.
        seed = int(np.random.SeedSequence((*self.seed, *position)).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        return self.dataset[index]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # while being unpickled in a worker
            raise AttributeError(name)
        return getattr(self.dataset, name)


def _init_worker(init: Callable[[int], None] | None, number: int) -> None:
    """Lets a worker outlive the signals that terminals and batch systems send to all processes, since its main process needs it
    until the iteration is finished. Only that one ends it."""
    for name in ('SIGINT', 'SIGUSR1'):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_for, args=(os.getppid(), ), daemon=True).start()
    if init is not None:
        init(number)


def _end_for(process: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != process:
        pass
    os._exit(0)


def resumable(loader: DataLoader, seed: int) -> DataLoader:
    """Makes a data loader endless, with ``batch_sampler.begin`` as the batch that it starts at.

    Args:
        loader (DataLoader): For a data set with indices.
        seed (int): The random numbers of its pipeline depend on this, the process and the position of a sample.

    Raises:
        ValueError: If the data set has no indices, or the loader makes no batches.
    """
    if isinstance(loader.batch_sampler, PositionedBatches):
        return loader
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        raise ValueError(f'To be resumable, iteration-based training needs a data set with indices and a batch_size, unlike '
                         f'{type(loader.dataset).__name__} with batch_size={loader.batch_size}')
    kept = ('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'multiprocessing_context', 'generator', 'prefetch_factor',
            'persistent_workers', 'pin_memory_device', 'in_order')
    return DataLoader(
        PositionedDataset(loader.dataset, seed),
        batch_sampler=PositionedBatches(loader.batch_sampler),
        worker_init_fn=partial(_init_worker, loader.worker_init_fn),
        **{name: getattr(loader, name) for name in kept if hasattr(loader, name)})

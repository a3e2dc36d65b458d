import random
import subprocess
from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler, pseudo_collate
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, IterableDataset

from mmskf.datasets.resumable import resumable


class Drawing(Dataset):
    """Yields the index and what the three sources of random numbers draw, and notes what was loaded in this process."""
    metainfo = dict(name='drawing')

    def __init__(self, size=7):
        self.size, self.loaded = size, []

    def __getitem__(self, index):
        self.loaded.append(index)
        return [index, random.random(), np.random.rand(), torch.rand(1).item()]

    def __len__(self):
        return self.size


def batches(dataset, begin=0, count=6, workers=0, sampler=InfiniteSampler, **kwargs):
    loader = resumable(DataLoader(dataset, sampler=sampler(dataset, seed=3), batch_size=2, num_workers=workers,
                                  collate_fn=pseudo_collate, **kwargs), seed=1)
    loader.batch_sampler.begin = begin
    return list(islice(loader, count))


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_skipped_batches_are_not_loaded_and_the_others_are_the_same(sampler):
    whole = batches(Drawing(), count=9, sampler=sampler)
    skipping = Drawing()
    assert batches(skipping, begin=6, count=3, sampler=sampler) == whole[6:]
    assert len(skipping.loaded) <= 6


@pytest.mark.parametrize('workers', [1, 3])
def test_the_number_of_workers_changes_nothing(workers):
    assert batches(Drawing(), workers=workers) == batches(Drawing())
    assert batches(Drawing(), begin=2, count=4, workers=workers) == batches(Drawing())[2:]


def test_an_image_that_comes_again_is_drawn_anew():
    seen = {}
    for indices, *drawn in batches(Drawing(), count=7):
        for place, index in enumerate(indices):
            seen.setdefault(index, set()).add(tuple(source[place] for source in drawn))
    assert all(len(draws) == 2 for draws in seen.values())
    numbers = [number for draws in seen.values() for draw in draws for number in draw]
    assert len(set(numbers)) == len(numbers)


def test_epochs_follow_each_other_in_their_own_order():
    indices = [index for batch in batches(Drawing(4), count=8, sampler=DefaultSampler) for index in batch[0]]
    epochs = [indices[i:i + 4] for i in range(0, 16, 4)]
    assert all(sorted(epoch) == [0, 1, 2, 3] for epoch in epochs) and len(set(map(tuple, epochs))) > 1


def test_what_else_a_loader_has_is_kept():
    loader = DataLoader(Drawing(), sampler=InfiniteSampler(Drawing()), batch_size=2, num_workers=1, persistent_workers=True,
                        prefetch_factor=3, drop_last=True, timeout=7)
    again = resumable(loader, 0)
    assert (again.num_workers, again.persistent_workers, again.prefetch_factor, again.timeout) == (1, True, 3, 7)
    assert again.batch_sampler.batches is loader.batch_sampler and again.dataset.metainfo == dict(name='drawing')
    assert len(again) == len(loader) and resumable(again, 0) is again


def test_workers_outlive_signals_of_others_and_end_with_their_process():
    """SIGINT, SIGUSR1 and SIGTERM of a batch system do nothing; SIGTERM of the main process, which it sends in the end, acts."""
    loader = resumable(DataLoader(Drawing(), sampler=InfiniteSampler(Drawing()), batch_size=2, num_workers=1), 0)
    iterator = iter(loader)
    next(iterator)
    worker, = iterator._workers
    for name in ('INT', 'USR1', 'TERM'):
        subprocess.run(['kill', f'-{name}', str(worker.pid)], check=True)
    for _ in range(20):
        next(iterator)
    assert worker.is_alive()
    worker.terminate()
    worker.join(10)
    assert worker.exitcode == 0


def test_what_cannot_be_resumed():

    class Stream(IterableDataset):

        def __iter__(self):
            yield 1

    with pytest.raises(ValueError, match='needs a data set with indices and a batch_size.*Stream'):
        resumable(DataLoader(Stream()), 0)
    with pytest.raises(ValueError, match='yields no batch: it has fewer images than batch_size=2'):
        batches(Drawing(1), sampler=DefaultSampler, drop_last=True)


def test_batch_samplers_of_a_config():
    """num_batch_per_epoch and a batch sampler of its own, as mmengine builds them."""
    cfg = dict(dataset=Drawing(), sampler=dict(type='DefaultSampler', shuffle=False), num_workers=0, num_batch_per_epoch=2,
               batch_sampler=dict(type=torch.utils.data.BatchSampler, drop_last=False), batch_size=3)
    loader = resumable(Runner.build_dataloader(cfg, seed=0), 0)
    assert [list(batch[0]) for batch in islice(loader, 4)] == [[0, 1, 2], [3, 4, 5]] * 2

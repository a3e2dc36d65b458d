"""Damages checkpoints at random, and looks how they are answered: ``python tests/fuzz_weights.py --count 2000``.

Every damaged file either loads as what it was (the damage hit a byte that means nothing), or is refused by one sentence that
names it. That none runs code follows from how they are read; a witness is kept all the same: nothing but reading happens.
"""
import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmskf.converters.convert import read_source
from mmskf.weights import WeightsError

BUNDLE = Path(__file__).parent / 'data' / 'tensorflow'


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One kind of damage of those that happen to files, or that somebody does to them."""
    data = bytearray(content)
    kind, place, size = rng.integers(7), int(rng.integers(len(data))), int(rng.integers(1, 33))
    if kind == 0:  # a flipped bit
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:  # other bytes
        data[place:place + size] = rng.bytes(len(data[place:place + size]))
    elif kind == 2:  # a file that is cut
        del data[place:]
    elif kind == 3:  # a piece that is lost
        del data[place:place + size]
    elif kind == 4:  # a piece that is too many
        data[place:place] = rng.bytes(size)
    elif kind == 5:  # a block of zeros, as a disk leaves it
        data[place:place + 512] = bytes(len(data[place:place + 512]))
    else:  # a piece that lies elsewhere, too
        other = int(rng.integers(len(data)))
        data[place:place + size] = data[other:other + size]
    return bytes(data)


def write_checkpoint(path: Path):
    """A small checkpoint as trainings write it: weights, counters, the state of an optimizer, and a log."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    torch.save(dict(state_dict=model.state_dict(), optimizer=optimizer.state_dict(), meta=dict(iter=1, text='x' * 300)), path)


def answer(source: Path, damaged: Path, expected: dict) -> str:
    """How a damaged file is answered.

    Returns:
        str: 'unharmed', or the type of the error.

    Raises:
        AssertionError: If it loads as something else, or is answered by anything but a sentence that names it.
    """
    try:
        weights = read_source(source)
    except (WeightsError, FileNotFoundError) as error:
        text = str(error)
        assert damaged.stem in text and '\n' not in text, text
        return type(error).__name__
    assert weights.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) and value.dtype == expected[key].dtype for key, value in weights.items())
    return 'unharmed'


def fuzz_checkpoints(folder: Path, count: int, seed: int = 0) -> Counter:
    """Damages a .pth ``count`` times."""
    whole, damaged = folder / 'whole.pth', folder / 'damaged.pth'
    write_checkpoint(whole)
    content, expected, rng = whole.read_bytes(), read_source(whole), np.random.default_rng(seed)
    answers = Counter()
    for _ in range(count):
        damaged.write_bytes(mutate(content, rng))
        answers[answer(damaged, damaged, expected)] += 1
    return answers


def fuzz_bundles(folder: Path, count: int, seed: int = 0) -> Counter:
    """Damages a checkpoint of TensorFlow ``count`` times: its index in two of three, its numbers in one."""
    files = {suffix: BUNDLE / f'model.ckpt{suffix}' for suffix in ('.index', '.data-00000-of-00001')}
    expected, rng = read_source(BUNDLE / 'model.ckpt'), np.random.default_rng(seed)
    answers = Counter()
    for number in range(count):
        for suffix, path in files.items():
            shutil.copy(path, folder / f'damaged{suffix}')
        damaged = folder / f'damaged{list(files)[number % 3 == 2]}'
        damaged.write_bytes(mutate(damaged.read_bytes(), rng))
        answers[answer(folder / 'damaged', damaged, expected)] += 1
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, fuzz in (('.pth', fuzz_checkpoints), ('TensorFlow', fuzz_bundles)):
            print(f'{name}: {dict(fuzz(Path(folder), args.count, args.seed))}')


if __name__ == '__main__':
    main()

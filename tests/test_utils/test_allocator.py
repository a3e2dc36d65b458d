import platform
import subprocess
import sys

import pytest
from processes import environment

from mmskf.utils import allocator

MEASURE = '''
import resource, sys
import torch
from mmskf.utils.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(64 * 2**20, dtype=torch.uint8).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == 'keep':
    keep_freed_memory()
print(min(faults() for _ in range(8)) * resource.getpagesize() / 2**20)
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='other C libraries have other allocators')
@pytest.mark.parametrize('mode, variables, kept', [
    ('keep', {}, True),
    ('leave', {}, False),
    ('keep', dict(MALLOC_MMAP_THRESHOLD_='1000000'), False)
])  # fmt: skip
def test_blocks_of_64_megabytes_are_cleared_once(mode, variables, kept):
    result = subprocess.run([sys.executable, '-c', MEASURE, mode], env=environment(**variables), capture_output=True, text=True,
                            check=True)
    assert (float(result.stdout) < 16) == kept


@pytest.mark.parametrize('accepts, calls', [(1, [-3, -1]), (0, [-3])])
def test_a_libc_that_refuses_is_left_as_it_is(accepts, calls, monkeypatch):
    """A threshold for trimming alone would end the automatic adjustment of the other."""
    made = []

    class Libc:

        @staticmethod
        def mallopt(parameter, value):
            made.append(parameter)
            return accepts

    for name in ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_', 'GLIBC_TUNABLES'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr('ctypes.CDLL', lambda name: Libc)
    allocator.keep_freed_memory()
    assert made == calls
    monkeypatch.setenv('GLIBC_TUNABLES', 'glibc.malloc.mmap_threshold=1000000')
    allocator.keep_freed_memory()
    assert made == calls


def missing(name):
    raise OSError(f'{name}: cannot open shared object file')


@pytest.mark.parametrize('libc', [missing, lambda name: object()])
def test_other_systems_are_left_as_they_are(libc, monkeypatch):
    monkeypatch.setattr('ctypes.CDLL', libc)
    allocator.keep_freed_memory()

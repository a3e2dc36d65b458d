import platform
import subprocess
import sys

import pytest
from processes import environment

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

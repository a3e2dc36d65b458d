"""The memory allocator of the C library."""
import ctypes
import os

# Of mallopt, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory(size: int = 2**27) -> None:
    """Lets this process keep freed memory for its next tensors; only with glibc, the C library of most Linux distributions.

    glibc returns each block of more than 32 MB to the system at once, and a new one is cleared page by page when it is first
    written to: for large feature maps, up to a third of the time. Kept blocks fit less well, though, so the peak of memory is
    higher by up to 40 %. The setting is for the whole process, so the tools and the command make it, not the package. What
    ``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_TRIM_THRESHOLD_`` or ``GLIBC_TUNABLES`` in the environment says is left as it is.

    Args:
        size (int): Size of the largest blocks that are kept, and of what may stay free, in bytes below 2^31. Defaults to 128 MiB.
    """
    chosen = {'MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_'} & os.environ.keys()
    if chosen or 'malloc' in os.environ.get('GLIBC_TUNABLES', ''):
        return
    try:
        mallopt = ctypes.CDLL('libc.so.6').mallopt
    except (OSError, AttributeError):
        return
    if mallopt(M_MMAP_THRESHOLD, size):  # versions that refuse it are left as they are
        mallopt(M_TRIM_THRESHOLD, size)

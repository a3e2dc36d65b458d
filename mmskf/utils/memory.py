"""Peak memory: of the process on a CPU (Linux), of the tensors on a GPU."""
from pathlib import Path

import torch


def reset_peak(device: torch.device) -> int:
    """Resets the peak and returns the memory in use, in bytes.

    Raises:
        OSError: If the system does not support it.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path('/proc/self/clear_refs').write_text('5')
    return read_peak(device)


def read_peak(device: torch.device) -> int:
    """The peak memory since the last reset, in bytes; resident memory on the CPU.

    Raises:
        OSError: If the system does not tell.
    """
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) * 1024

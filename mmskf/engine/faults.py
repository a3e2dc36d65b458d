"""What a process does when it is told to stop, or one of its helpers dies."""
import re
import signal
import threading
from contextlib import contextmanager
from typing import Iterator

#: Ctrl-C; what `kill` and batch systems send before they kill; what SLURM sends where it was asked to warn of a pre-emption.
SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name)]


@contextmanager
def signals_restored() -> Iterator[None]:
    """Gives back, in the end, the handlers of signals that a hook may replace meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def dead_workers_explained() -> Iterator[None]:
    """Makes the last line of the error that a dead worker of a data loader causes say what happened and what helps.

    Raises:
        RuntimeError: In place of PyTorch's.
    """
    try:
        yield
    except RuntimeError as error:
        dead = re.match(r'DataLoader worker \(pid\(?s?\)? ([\d, ]+)\) (.*)', str(error))
        if dead is None:
            raise
        raise RuntimeError(
            f'A worker of a data loader (process {dead[1]}) died: {dead[2].strip().rstrip(".")}. Where nobody killed it, memory '
            'ran out: take fewer train_dataloader.num_workers, or a smaller batch or crop ("Bus error": /dev/shm is too small). '
            'A training goes on from its last checkpoint with --resume') from error

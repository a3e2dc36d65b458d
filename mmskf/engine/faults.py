"""What a process does when it is told to stop, or one of its helpers dies."""
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data._utils import signal_handling

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

    PyTorch raises that error in a signal handler, in the midst of whatever this process does: other code swallows it, or
    turns it into another, and it comes once more while it is printed. So the handler rests here. A data loader that waits for a
    worker looks every few seconds whether it lives, and one that reads from it when it dies fails at once.

    Raises:
        RuntimeError: In place of what a dead worker had led to.
    """
    handler = None
    if threading.current_thread() is threading.main_thread() and hasattr(signal, 'SIGCHLD'):
        signal_handling._set_SIGCHLD_handler()  # which it does once only
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    except Exception as error:
        dead = _dead_worker(error)
        if dead is None:
            raise
        raise RuntimeError(
            f'A worker of a data loader (process {dead[1]}) died: it {dead[2].strip().rstrip(".")}. Where nobody killed it, '
            'memory ran out: take fewer train_dataloader.num_workers, or a smaller batch or crop ("Bus error": /dev/shm is too '
            'small). A training goes on from its last checkpoint with --resume') from error
    if handler is not None:
        signal.signal(signal.SIGCHLD, handler)


def _dead_worker(error: BaseException) -> re.Match | None:
    """What PyTorch says of a worker that has died, where one has: its process and how."""
    # A connection breaks a moment before the system tells of the death of the process behind it.
    broken = isinstance(error, (ConnectionError, EOFError))
    for _ in range(50 if broken else 1):
        try:
            signal_handling._error_if_any_worker_fails()
        except RuntimeError as found:
            error = found
            break
        time.sleep(0.02 if broken else 0)
    return re.match(r'DataLoader worker \(pid\(?s?\)? ([\d, ]+)\) (.*)', str(error))

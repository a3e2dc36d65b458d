"""What a process does when it is told to stop, or when one of its workers fails or dies."""
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data._utils import signal_handling

from mmskf.utils.errors import OF_CALL, OF_EXECUTION, SPEAKERS, message_of

#: Ctrl-C; what `kill` and batch systems send before they kill; what SLURM sends if asked to warn of preemption.
SIGNALS = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name)]
# PyTorch's message about an error in a worker, which ends with its traceback: file and code of the last frame, and the text.
OF_WORKER = re.compile(r'''Caught \w+ in DataLoader worker process \d+\.
Original Traceback .*\n  File "([^"\n]+)", line \d+, in [^\n]+\n    ([^\n]*)(?:\n +[^\n]*)*\n[\w.]+: (.*)''', re.DOTALL)


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restores, in the end, the signal handlers that a hook may replace in the meantime."""
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
    """Makes the error caused by a dead data-loader worker end with a line that says what happened and what helps.

    PyTorch raises that error in a signal handler, in the middle of whatever this process is doing: other code swallows it or
    turns it into another one, and it is raised again while being printed. So the handler is disabled here. A data loader
    waiting for a worker checks every few seconds whether it is alive, and one reading from it when it dies fails at once.

    Raises:
        RuntimeError: Instead of the error that a dead worker led to.
    """
    handler = None
    if threading.current_thread() is threading.main_thread() and hasattr(signal, 'SIGCHLD'):
        signal_handling._set_SIGCHLD_handler()  # which it does only once
        handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    except Exception as error:
        dead = _dead_worker(error)
        if dead is None:
            raise
        raise RuntimeError(
            f'A worker of a data loader (process {dead[1]}) died: it {dead[2].strip().rstrip(".")}. Unless somebody killed it, '
            'memory ran out: use fewer train_dataloader.num_workers, or a smaller batch or crop ("Bus error": /dev/shm is too '
            'small). Training continues from its last checkpoint with --resume') from error
    if handler is not None:
        signal.signal(signal.SIGCHLD, handler)


@contextmanager
def worker_errors_shortened() -> Iterator[None]:
    """Reduces an error in a data-loader worker to its text if that is a message to the user (:func:`is_for_user`), as it is
    without workers.

    PyTorch raises it again in this process, with the traceback in the worker as its text.

    Raises:
        OSError, ValueError...: Of the type that the worker raised.
    """
    try:
        yield
    except OF_CALL + OF_EXECUTION as error:
        found = OF_WORKER.fullmatch(message_of(error))
        if found is None:
            raise
        file, code, text = found.groups()
        raised_by = next((name for name, module in sys.modules.items() if getattr(module, '__file__', None) == file), '')
        if not isinstance(error, OSError) and not (code.startswith('raise ') and raised_by.partition('.')[0] in SPEAKERS):
            raise
        raise type(error)(text.strip()) from error


def _dead_worker(error: BaseException) -> re.Match | None:
    """PyTorch's message about a dead worker, if there is one: its process and how it died."""
    # A connection breaks a moment before the system reports the death of the process behind it.
    broken = isinstance(error, (ConnectionError, EOFError))
    for _ in range(50 if broken else 1):
        try:
            signal_handling._error_if_any_worker_fails()
        except RuntimeError as found:
            error = found
            break
        time.sleep(0.02 if broken else 0)
    return re.match(r'DataLoader worker \(pid\(?s?\)? ([\d, ]+)\) (.*)', str(error))

"""One training at a time in a work dir."""
import json
import logging
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

from mmengine.dist import broadcast_object_list, is_main_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = '.training.lock'


class WorkDirInUseError(RuntimeError):
    """Another training writes to the work dir."""


@contextmanager
def locked(work_dir: Union[str, Path], logger: logging.Logger) -> Iterator[None]:
    """Keeps other trainings out of a work dir while this one runs, on this machine and on others that share the disk.

    The system holds the lock and gives it up when the process ends, in whatever way. The file says who has it; where one was
    left by a process that was killed, that is said. In a distributed training the first process has the lock, and all stop
    where it cannot get it. Where the disk knows no locks, a warning says so.

    Args:
        work_dir (str | Path): The folder.
        logger (logging.Logger): For what is to be said.

    Raises:
        WorkDirInUseError: If another process has it; names host, process and time.
    """
    refusal, file = [None], None
    if is_main_process() and fcntl is not None:
        path = Path(work_dir) / LOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, 'a+')
        file.seek(0)
        holder = _describe(file.read())
        try:
            # Not flock: the workers of data loaders would inherit it, and keep it for seconds after this process was killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            refusal[0] = (f'{work_dir} is in use: {holder} trains there. Wait for its end, or give another --work-dir')
        except OSError as error:
            logger.warning(f'{path} cannot be locked ({error}): see to it yourself that no other training writes there')
        else:
            if holder:
                logger.warning(f'The training that was in {work_dir} before, {holder}, was killed: its lock is taken over')
    broadcast_object_list(refusal)
    try:
        if refusal[0]:
            raise WorkDirInUseError(refusal[0])
        if file is not None:
            _write(file, json.dumps(dict(host=socket.gethostname(), process=os.getpid(), since=time.strftime('%Y-%m-%d %H:%M:%S'))))
        yield
    finally:
        if file is not None:
            if not refusal[0]:
                _write(file, '')
            file.close()


def _write(file, text: str):
    file.truncate(0)
    file.write(text)
    file.flush()


def _describe(text: str) -> str:
    """What a lock file says of its owner; '' where the last one has ended."""
    if not text.strip():
        return ''
    try:
        return 'process {process} on {host}, since {since}'.format(**json.loads(text))
    except (ValueError, KeyError, TypeError):
        return 'a process that is not known'

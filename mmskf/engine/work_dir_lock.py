"""Allows one training at a time in a work dir."""
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mmengine.dist import broadcast_object_list, is_main_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = '.training.lock'


class WorkDirInUseError(RuntimeError):
    """Another training writes to the work dir."""


@contextmanager
def locked(work_dir: str | Path, logger: logging.Logger) -> Iterator[None]:
    """Keeps other trainings out of a work dir while this one runs, on this machine and on others that share the disk.

    The operating system holds the lock and releases it when the process ends, however that happens. The file names its owner; a
    file left behind by a killed process is reported. In distributed training the first process has the lock, and all stop if it
    cannot get it. If the disk does not support locks, a warning says so.

    Args:
        work_dir (str | Path): The folder.
        logger (logging.Logger): For the messages.

    Raises:
        WorkDirInUseError: If another process has the lock; names host, process and time.
    """
    refusal: list[str | None] = [None]
    file: IO | None = None
    if is_main_process() and fcntl is not None:
        path = Path(work_dir) / LOCK
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, 'a+')  # noqa: SIM115, it is closed when the lock is released
        file.seek(0)
        holder = _describe(file.read())
        try:
            # Not flock: data-loader workers would inherit it and keep it for seconds after this process was killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            refusal[0] = (f'{work_dir} is in use: {holder} trains there. Wait until it ends, or give another --work-dir')
        except OSError as error:
            logger.warning(f'{path} cannot be locked ({error}): make sure yourself that no other training writes there')
        else:
            if holder:
                logger.warning(f'The previous training in {work_dir}, {holder}, was killed: its lock is taken over')
    broadcast_object_list(refusal)
    try:
        if refusal[0]:
            raise WorkDirInUseError(refusal[0])
        if file is not None:
            since = time.strftime('%Y-%m-%d %H:%M:%S')
            _write(file, json.dumps(dict(host=socket.gethostname(), process=os.getpid(), since=since)))
        yield
    finally:
        if file is not None:
            if not refusal[0]:
                _write(file, '')
            file.close()


def _write(file: IO, text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()


def _describe(text: str) -> str:
    """The owner named by a lock file; '' if the last one has ended."""
    if not text.strip():
        return ''
    try:
        return 'process {process} on {host}, since {since}'.format(**json.loads(text))
    except (ValueError, KeyError, TypeError):
        return 'an unknown process'

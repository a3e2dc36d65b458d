"""Writes files so that neither a crash nor a full disk nor another process ever leaves or sees half a file."""
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

#: Suffix of a file that is being written; leftovers of a killed process are removed by the next one.
PART = '.mmskf-part'
_numbers = itertools.count()


@contextmanager
def atomic_open(path: str | Path, mode: str = 'wb', **kwargs: Any) -> Iterator[IO]:
    """Opens a file for writing; it gets its name once it is completely on the disk, and never if an error occurs before that.

    Until then, an existing file of this name is unchanged. Folders are created. Devices and pipes are written to directly.

    Args:
        path (str | Path): Name of the file.
        mode (str): 'w' or 'wb'. Defaults to 'wb'.
        **kwargs: See :func:`open`.

    Raises:
        OSError: If it cannot be written, for example because the disk is full; names the file.
    """
    path = Path(os.path.realpath(path))  # like ``open``, write where a link points to
    if path.exists() and not path.is_file():
        with open(path, mode, **kwargs) as file:
            yield file
        return
    part = path.with_name(f'.{os.getpid()}-{next(_numbers)}{PART}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, f'{error.strerror or error}: this file is not written, and any previous file of this name is '
                      'unchanged', str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def check_destination(path: str | Path, folder: bool = False) -> None:
    """Checks that something can be written, before the work that leads to it; nothing is left behind.

    Args:
        path (str | Path): Name of a file, or of a folder for several; it and its parents need not exist yet.
        folder (bool): Whether it is a folder. Defaults to False.

    Raises:
        OSError: If it cannot be written: names it, and says why.
        ValueError: If the name is empty, as of a variable that is not set.
    """
    if not os.fspath(path):
        raise ValueError(f'The name of the {"folder" if folder else "file"} for the results is empty')
    real = Path(os.path.realpath(path))
    if not folder and real.is_dir():
        raise IsADirectoryError(f'{path} is a folder, and the result is one file: add its name')
    if not folder and os.path.exists(real) and not real.is_file():
        return  # a device or a pipe, to which nothing can be written on trial
    place = next(place for place in (real, *real.parents) if os.path.exists(place) and (folder or place != real))
    part = place / f'.{os.getpid()}-{next(_numbers)}{PART}'
    try:
        part.touch()
    except NotADirectoryError:
        raise NotADirectoryError(f'{path} cannot be written: {place} is a file, not a folder') from None
    except OSError as error:
        raise OSError(error.errno, f'{error.strerror or error}: nothing can be written here', str(path)) from error
    part.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a renaming survive a crash of the machine, if the system supports that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def remove_parts(folder: str | Path) -> None:
    """Removes the unfinished files of killed processes; no process may be writing there now."""
    for part in Path(folder).glob(f'.*{PART}'):
        part.unlink(missing_ok=True)

"""Writing files so that a crash, a full disk or a second look never meets half a file."""
import itertools
import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Iterator, Union

from mmengine.fileio import LocalBackend

#: Ends the name of a file that is being written; what a killed process has left of one is removed by the next.
PART = '.mmskf-part'
_numbers = itertools.count()


@contextmanager
def atomic_open(path: Union[str, Path], mode: str = 'wb', **kwargs: Any) -> Iterator[IO]:
    """Opens a file to be written; it gets its name when all of it is on the disk, and never where an error comes between.

    A file that had this name stays as it was until then. Folders are made. Devices and pipes are written to directly.

    Args:
        path (str | Path): Name of the file.
        mode (str): 'w' or 'wb'. Defaults to 'wb'.
        **kwargs: See :func:`open`.

    Raises:
        OSError: If it cannot be written, such as on a full disk; names the file.
    """
    path = Path(os.path.realpath(path))  # as ``open`` does, write where a link points to
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
        raise OSError(error.errno, f'{error.strerror or error}: this file is not written, and what had its name before is '
                      'unchanged', str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path):
    """Makes a renaming survive a crash of the machine, where the system can."""
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


def remove_parts(folder: Union[str, Path]):
    """Removes what killed processes have left of files that they were writing; none may be writing there now."""
    for part in Path(folder).glob(f'.*{PART}'):
        part.unlink(missing_ok=True)


class AtomicLocalBackend(LocalBackend):
    """mmengine's access to local files, through which it and mmcv write checkpoints, pictures and dumps: whole or not."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Writes bytes, see :func:`atomic_open`."""
        with atomic_open(filepath) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        """Writes text, see :func:`atomic_open`."""
        with atomic_open(filepath, 'w', encoding=encoding) as file:
            file.write(obj)

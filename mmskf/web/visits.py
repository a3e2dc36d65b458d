"""What visitors leave on the disk, and its removal."""
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock


@dataclass
class Visit:
    """The files of one visitor.

    Attributes:
        uploads (set[Path]): The photos.
        results (Path, optional): The folder of the latest results.
    """
    uploads: set[Path] = field(default_factory=set)
    results: Path | None = None


class Visits:
    """The files of all visitors, below one folder. Those of a visitor are removed when they leave.

    Two visitors who upload the same photo share its file: its name is the checksum of its content.

    Args:
        root (Path): The folder, for nothing else; empty.
    """

    def __init__(self, root: Path):
        self.root = root.resolve()
        self._visits: dict[str, Visit] = {}
        self._lock = Lock()

    def arrive(self, visitor: str) -> None:
        """Notes a visitor, who may have nothing here yet."""
        with self._lock:
            self._visits.setdefault(visitor, Visit())

    def bring(self, visitor: str, photos: Iterable[str]) -> list[Path]:
        """Notes the photos of a visitor, and returns their paths.

        Raises:
            ValueError: If one is a file that nobody has uploaded.
        """
        paths = [Path(photo).resolve() for photo in photos]
        for path in paths:
            if not path.is_relative_to(self.root):
                raise ValueError(f'{path.name} was not uploaded: only photos that are dropped on the page are enhanced')
        self.arrive(visitor)
        with self._lock:
            self._visits[visitor].uploads.update(paths)
        return paths

    def new_results(self, visitor: str) -> Path:
        """A new folder for the results of a visitor, instead of their previous one."""
        self.arrive(visitor)
        folder = Path(tempfile.mkdtemp(dir=self.root))
        with self._lock:
            visit = self._visits[visitor]
            previous, visit.results = visit.results, folder
        _remove(previous)
        return folder

    def expects(self, folder: Path) -> bool:
        """Whether a folder is that of a visitor's latest results. If not, nobody waits for them, and it is removed."""
        with self._lock:
            expected = any(visit.results == folder for visit in self._visits.values())
        if not expected:
            _remove(folder)
        return expected

    def leave(self, visitor: str) -> None:
        """Removes all files of a visitor; when the last one leaves, everything, such as uploads that were broken off."""
        with self._lock:
            visit = self._visits.pop(visitor, Visit())
            _remove(visit.results)
            held = {path for other in self._visits.values() for path in other.uploads}
            for path in visit.uploads - held:
                _remove(path.parent)
            for path in [] if self._visits else list(self.root.iterdir()):
                _remove(path)


def _remove(path: Path | None) -> None:
    """Removes a file or folder, if it is there; what is being written now is removed by its writer, see ``expects``."""
    if path is not None and path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path is not None:
        path.unlink(missing_ok=True)

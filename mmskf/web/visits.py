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
        uploads (set[Path]): The folders of the photos, one for each content.
        folders (dict[str, Path]): What was made of them, by its kind; of each kind only the latest is kept.
    """
    uploads: set[Path] = field(default_factory=set)
    folders: dict[str, Path] = field(default_factory=dict)


class Visits:
    """The files of all visitors, below one folder. Those of a visitor are removed when they leave.

    Gradio puts every upload into a folder that is named by the checksum of its content: visitors with the same photo share it.

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
            if path.parent.parent != self.root:
                raise ValueError(f'{path.name} was not uploaded: only photos that are dropped on the page are enhanced')
        with self._lock:
            self._visits.setdefault(visitor, Visit()).uploads.update(path.parent for path in paths)
        return paths

    def new_folder(self, visitor: str, kind: str) -> Path:
        """A new folder for what is made for a visitor, instead of the previous one of this kind."""
        folder = Path(tempfile.mkdtemp(dir=self.root))
        with self._lock:
            folders = self._visits.setdefault(visitor, Visit()).folders
            previous, folders[kind] = folders.get(kind), folder
        _remove(previous)
        return folder

    def expects(self, folder: Path) -> bool:
        """Whether a visitor still waits for what is made in a folder. If not, it is removed."""
        with self._lock:
            expected = any(folder in visit.folders.values() for visit in self._visits.values())
        if not expected:
            _remove(folder)
        return expected

    def leave(self, visitor: str) -> None:
        """Removes all files of a visitor; when the last one leaves, everything, such as uploads that were broken off."""
        with self._lock:
            visit = self._visits.pop(visitor, Visit())
            held = {folder for other in self._visits.values() for folder in other.uploads}
            given_up = [*visit.folders.values(), *(visit.uploads - held)]
            for path in given_up if self._visits else list(self.root.iterdir()):
                _remove(path)


def _remove(path: Path | None) -> None:
    """Removes a file or folder, if it is there; what is being written now is removed by its writer, see ``expects``."""
    if path is not None and path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    elif path is not None:
        path.unlink(missing_ok=True)

"""Finds image files, and protects them from being replaced; shared by data sets, tools and commands."""
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

# Formats that Pillow lists but cannot decode itself: EPS runs Ghostscript, WMF needs Windows, the others need further software.
NOT_DECODED = ('BUFR', 'EPS', 'FPX', 'GRIB', 'HDF5', 'MIC', 'MPEG', 'WMF')
HEIF_EXTENSIONS = ('.heic', '.heif', '.hif')
RAW_EXTENSIONS = ('.3fr', '.arw', '.cr2', '.cr3', '.crw', '.dcr', '.dng', '.erf', '.kdc', '.mef', '.mos', '.mrw', '.nef',
                  '.nrw', '.orf', '.pef', '.raf', '.raw', '.rw2', '.rwl', '.sr2', '.srf', '.srw', '.x3f')
#: Extensions of the files that count as videos.
VIDEO_EXTENSIONS = ('.mp4', '.m4v', '.mov', '.mkv', '.webm', '.avi', '.mts', '.m2ts', '.3gp', '.mpg', '.mpeg', '.wmv', '.flv')
RAW_ADVICE = ('a raw file of a camera, which has to be developed first: open it in darktable, RawTherapee or the camera maker\'s '
              'program, and save it as TIFF or JPEG')
NAMES_SHOWN = 5

Image.init()
#: Pillow's names of the formats that are read; in addition HEIF, if pillow-heif is installed.
FORMATS = tuple(sorted(set(Image.OPEN) - set(NOT_DECODED)))
#: Extensions of image files, in lower case; those of files may be in upper case.
IMG_EXTENSIONS = tuple(sorted({
    '.mpo', *HEIF_EXTENSIONS, *(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)}))


class ImageListing(NamedTuple):
    """The contents of a folder: the images, and the skipped files."""
    images: list[Path]
    skipped: list[Path]


def is_image_name(name: str | Path, endings: Sequence[str] = IMG_EXTENSIONS) -> bool:
    """Whether a file counts as an image, by its extension in upper or lower case; hidden files ('._photo.png') do not."""
    base = os.path.basename(name)
    return not base.startswith('.') and os.path.splitext(base)[1].lower() in endings


def list_images(folder: str | Path, recursive: bool = True, leave_out: Path | None = None) -> ImageListing:
    """Finds the images of a folder, sorted by path.

    Hidden files and folders, links to folders, pipes and devices are skipped.

    Args:
        folder (str | Path): The folder.
        recursive (bool): Whether to search subfolders. Defaults to True.
        leave_out (Path, optional): A subfolder to exclude, such as that of the results.

    Raises:
        OSError: If the folder cannot be read.
    """
    images: list[Path] = []
    skipped: list[Path] = []

    def fail(error: OSError) -> None:
        raise error

    for root, folders, files in os.walk(folder, onerror=fail):
        here = Path(root)
        for name in sorted(folders):
            path = here / name
            if not recursive or (leave_out is not None and leave_out.exists() and path.samefile(leave_out)):
                folders.remove(name)
            elif name.startswith('.') or path.is_symlink():
                folders.remove(name)
                skipped.append(path)
        folders.sort()
        for name in sorted(files):
            path = here / name
            (images if is_image_name(name) and path.is_file() else skipped).append(path)
    return ImageListing(images, skipped)


def printable(name: str | Path) -> str:
    """A name that can be shown on one line: line breaks, control characters and broken encodings are escaped."""
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode('ascii') for char in str(name))


def shortened(names: Sequence[str | Path]) -> str:
    """The first names of a list, and the number of further ones."""
    more = len(names) - NAMES_SHOWN
    return ', '.join(map(printable, names[:NAMES_SHOWN])) + (f' and {more} more' if more > 0 else '')


def describe_skipped(skipped: Sequence[str | Path]) -> str:
    """A message about the skipped files of a folder; empty if there are none."""
    raw, videos = ([path for path in skipped if os.path.splitext(path)[1].lower() in endings]
                   for endings in (RAW_EXTENSIONS, VIDEO_EXTENSIONS))
    others = [path for path in skipped if path not in raw and path not in videos]
    parts = []
    if others:
        parts.append(f'Skipped (hidden, not an image, or a link to a folder): {shortened(others)}')
    if videos:
        parts.append(f'Skipped: {shortened(videos)}; a video is enhanced only if its file itself is named')
    if raw:
        parts.append(f'Skipped: {shortened(raw)}; that is {RAW_ADVICE}')
    return '. '.join(parts)


class Originals:
    """The input files of a run. Nothing that it writes may replace one of them, nor any other file in their folders.

    Args:
        paths (Iterable[str | Path]): The files.
        beside (bool): Whether the other files in their folders are protected as well. Defaults to True.
    """

    def __init__(self, paths: Iterable[str | Path], beside: bool = True):
        self._paths: set[str] = set()
        self._folders: set[str] = set()
        self._files: set[tuple[int, int]] = set()
        for path in paths:
            self._paths.add(os.path.realpath(path))
            if beside:
                self._folders.add(os.path.dirname(os.path.realpath(path)))
            self._files.update(self._file(path))

    @staticmethod
    def _file(path: str | Path) -> list[tuple[int, int]]:
        """The identity of a file: the same for links of all kinds and for other spellings of its name."""
        try:
            status = os.stat(path)
        except OSError:
            return []
        return [(status.st_dev, status.st_ino)]

    def check(self, target: str | Path) -> None:
        """Rejects a path that leads to an original.

        Raises:
            FileExistsError: If it does.
        """
        path = os.path.realpath(target)
        beside = os.path.dirname(path) in self._folders and os.path.lexists(path)
        if path in self._paths or self._files.intersection(self._file(target)) or beside:
            what = 'is in the folder of the originals' if beside and path not in self._paths else 'is one of the originals'
            raise FileExistsError(f'{printable(target)} {what}, which a result must not replace: choose another folder for the '
                                  'results')

"""The photos to be enhanced, and where the results go."""
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from .files import check_destination
from .image import to_uint8
from .image_file import (
    ALIASES,
    DEEP_FORMATS,
    OUTPUT_FORMATS,
    PIXEL_LIMIT,
    Photo,
    format_like,
    output_format,
    photo_of_array,
    read_photo,
    result_name,
    write_photo,
)
from .image_folder import VIDEO_EXTENSIONS, Originals, describe_skipped, list_images, printable

COMMON_FORMATS = 'JPEG, PNG, TIFF, WebP, AVIF...'


@dataclass
class Source:
    """A photo, or a video, to be enhanced.

    Attributes:
        given (str | np.ndarray): The path of the file, or the array.
        name (str): Its name in messages.
        relative (str): The path of its result in the output folder; its extension may change.
        error (Exception, optional): Why there is none: no such file, or an empty folder.
    """
    given: str | np.ndarray
    name: str
    relative: str
    error: Exception | None = None

    def read(self, pixel_limit: int | None = PIXEL_LIMIT) -> Photo:
        """The photo.

        Raises:
            OSError, ValueError: If there is none, or it cannot be read; see :func:`read_photo` and :func:`photo_of_array`.
        """
        if self.error is not None:
            raise self.error
        if isinstance(self.given, np.ndarray):
            return photo_of_array(self.given, self.name)
        return read_photo(Path(self.given).read_bytes(), self.name, pixel_limit)

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its extension."""
        return isinstance(self.given, str) and self.error is None and Path(self.given).suffix.lower() in VIDEO_EXTENSIONS


PhotoInput = str | Path | np.ndarray | Source


@dataclass
class Result:
    """The result for one photo.

    Attributes:
        source (Source): The input.
        photo (Photo, optional): The photo as read.
        enhanced (np.ndarray, optional): float32 (H, W, 3), RGB, 0..255, not rounded.
        pictures (dict[str, np.ndarray]): 'side_by_side', 'semantic_map': further pictures that were requested, uint8.
        path (Path, optional): Where the result was written.
        error (Exception, optional): Why there is no result.
    """
    source: Source
    photo: Photo | None = None
    enhanced: np.ndarray | None = None
    pictures: dict[str, np.ndarray] = field(default_factory=dict)
    path: Path | None = None
    error: Exception | None = None

    @property
    def pixels(self) -> np.ndarray:
        """The pixels of a photo that has been read: uint8 (H, W, 3), RGB."""
        assert self.photo is not None
        return self.photo.pixels

    @property
    def prediction(self) -> np.ndarray | None:
        """The enhanced photo, uint8 (H, W, 3), RGB; None if it failed."""
        return None if self.enhanced is None else to_uint8(self.enhanced)

    @property
    def reason(self) -> str | None:
        """Why there is no result, in one line that names the photo."""
        if self.error is None:
            return None
        text = ' '.join(str(self.error).split()) or type(self.error).__name__
        return text if self.source.name in text else f'{self.source.name}: {text}'


def find_photos(inputs: PhotoInput | Sequence[PhotoInput], out_dir: str | Path | None = None
                ) -> tuple[list[Source], list[str]]:
    """Finds the photos that the inputs refer to.

    Args:
        inputs (str | Path | np.ndarray | Source | Sequence): A file, a folder (with subfolders), a pattern
            (``photos/**/*.jpg``), an array, a photo found before, or several of them.
        out_dir (str | Path, optional): The output folder, which is excluded when folders are searched. Defaults to None.

    Returns:
        tuple: The photos, and notes about skipped files.
    """
    sources: list[Source] = []
    notes: list[str] = []
    items: Sequence[Any] = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    for item in items:
        if isinstance(item, Source):
            sources.append(item)
        elif isinstance(item, np.ndarray):
            sources.append(Source(item, f'The array at {len(sources)}', f'{len(sources):04d}'))
        elif isinstance(item, (str, Path)):
            sources += _sources_at(str(item), out_dir, notes)
        else:
            sources.append(Source(item, f'The input at {len(sources)}', f'{len(sources):04d}', TypeError(
                f'The input at {len(sources)} is of type {type(item).__name__}, expected a path or an array')))
    _tell_apart(sources)
    return sources, notes


def _sources_at(path: str, out_dir: str | Path | None, notes: list[str]) -> Iterator[Source]:
    name = printable(path)
    if os.path.isdir(path):
        images, skipped = list_images(path, leave_out=None if out_dir is None else Path(out_dir))
        for image in images:
            yield Source(str(image), printable(image), image.relative_to(path).as_posix())
        if not images:
            others = f'. {describe_skipped(skipped)}' if skipped else ': it is empty'
            yield Source(path, name, 'none', FileNotFoundError(f'The folder {name} contains no image ({COMMON_FORMATS}){others}'))
        elif skipped:
            notes.append(describe_skipped(skipped))
    elif os.path.isfile(path):
        yield Source(path, name, os.path.basename(path))
    elif os.path.exists(path):
        yield Source(path, name, 'none', OSError(f'{name} is neither a file nor a folder'))
    elif glob.has_magic(path):
        root = Path(*_before_wildcards(Path(path).parts))
        found = [Path(file) for file in sorted(glob.glob(path, recursive=True)) if os.path.isfile(file)]
        for file in found:
            yield Source(str(file), printable(file), file.relative_to(root).as_posix())
        if not found:
            yield Source(path, name, 'none', FileNotFoundError(f'No file matches {name}'))
    else:
        yield Source(path, name, 'none', FileNotFoundError(f'There is no file or folder {name}'))


def _before_wildcards(parts: Sequence[str]) -> list[str]:
    fixed = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed


def _tell_apart(sources: Sequence[Source]) -> None:
    """Numbers results of the same name: photos from several folders must not overwrite each other."""
    used: set[str] = set()
    for source in sources:
        if source.error is None:
            source.relative = unused(source.relative, used)


def unused(name: str, used: set[str]) -> str:
    """The name, or the first unused one of NAME_2, NAME_3..., and marks it as used; 'a.PNG' and 'A.png' are the same name."""
    path, number, candidate = PurePosixPath(name), 1, name
    while candidate.casefold() in used:
        number += 1
        candidate = str(path.with_name(f'{path.stem}_{number}{path.suffix}'))
    used.add(candidate.casefold())
    return candidate


class ResultFolder:
    """Writes results to a folder, each like its input, never over an input.

    Args:
        folder (str | Path): The folder; it is created.
        sources (Sequence[Source]): The inputs.
        kind (str, optional): Format of all results, see :func:`output_format`. Defaults to None: that of each input.
        bits (int): Bits per channel of the results: 8 or 16. Defaults to 8.

    Raises:
        FileExistsError: If a result would replace an input.
        OSError: If nothing can be written to the folder.
        ValueError: If the format is unknown, or does not support the bits.
    """

    def __init__(self, folder: str | Path, sources: Sequence[Source], kind: str | None = None, bits: int = 8):
        self.folder = Path(folder)
        self.kind = None if kind is None else output_format(kind)
        check_destination(folder, folder=True)
        self._used: set[str] = set()
        sound = [source for source in sources if source.error is None]
        self._originals = Originals(source.given for source in sound if isinstance(source.given, str))
        for source in sound:
            # Only the extension tells the format here; the actual format is known when the file is read.
            kind = self.kind or _format_by_name(source.relative)
            if bits > 8 and kind not in DEEP_FORMATS:
                raise ValueError(f'{source.name}: its result would be written as {kind}, which does not support {bits} bits per '
                                 'channel: choose the format png or tiff (--format)')
            self._originals.check(self.folder / result_name(source.relative, kind))

    def write(self, source: Source, pixels: np.ndarray, photo: Photo, below: str = '') -> Path:
        """Writes one result and returns its path.

        Args:
            source (Source): The input.
            pixels (np.ndarray): (H, W, 3), uint8 or uint16.
            photo (Photo): The input as read.
            below (str): Subfolder for pictures other than the result. Defaults to ''.

        Raises:
            FileExistsError, OSError, ValueError: If it would replace an input, or cannot be written.
        """
        kind = self.kind or format_like(photo)
        path = self.folder / unused(str(PurePosixPath(below) / result_name(source.relative, kind)), self._used)
        self._originals.check(path)
        write_photo(path, pixels, photo, kind)
        return path

    def write_result(self, result: Result, bits: int = 8) -> None:
        """Writes a result with its further pictures, and notes its path.

        Args:
            result (Result): An enhanced photo.
            bits (int): 8 or 16 per channel. Defaults to 8.

        Raises:
            FileExistsError, OSError, ValueError: As :meth:`write`.
        """
        if result.photo is None or result.enhanced is None:
            return
        pixels: np.ndarray = to_uint8(result.enhanced)
        if bits == 16:
            pixels = np.clip(np.rint(result.enhanced * 257), 0, 65535).astype(np.uint16)
        result.path = self.write(result.source, pixels, result.photo)
        for name, picture in result.pictures.items():
            self.write(result.source, picture, Photo(picture, format=result.photo.format), below=name)


def _format_by_name(name: str) -> str:
    known: Any = Image.registered_extensions().get(os.path.splitext(name)[1].lower(), 'PNG')
    known = ALIASES.get(known, known)
    return known if known in OUTPUT_FORMATS else 'PNG'

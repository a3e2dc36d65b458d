"""Enhances the photos of visitors, one at a time. Nothing here knows of the page."""
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from mmskf.apis import DEFAULT_MODEL, SKFInferencer
from mmskf.apis.config import TO_BE_GIVEN, model_index, weights_of
from mmskf.evaluation import NIQE
from mmskf.export import is_exported
from mmskf.utils.memory import read_peak, reset_peak
from mmskf.utils.photos import Result, Source
from mmskf.utils.pictures import semantic_overlay

#: Maximum pixels of a photo, unless another limit is given.
PIXEL_LIMIT = 50_000_000
#: Maximum side of the pictures on the page, in pixels.
PREVIEW_SIDE = 1600
#: NIQE is computed from at most so many pixels in the middle of a photo: its time and memory grow with them.
SCORED_PIXELS = 4_000_000
#: Classes with a smaller share of a photo are not offered.
CLASS_SHARE = 0.01


@dataclass
class Outcome:
    """What became of one photo.

    Attributes:
        name (str): The name of its file.
        result (Path, optional): The enhanced photo, in the format of its input.
        before, after (Path, optional): Pictures of both for the page, JPEG of at most :data:`PREVIEW_SIDE`.
        size (tuple[int, int], optional): Width and height.
        niqe (tuple): NIQE of the photo and of the result; None where it could not be measured.
        seconds (float): For reading, enhancing and writing.
        memory (int, optional): Peak memory in bytes, see :mod:`mmskf.utils.memory`; None if the system does not tell.
        notes (list[str]): What the visitor may not expect, such as further pictures in the file.
        reason (str, optional): Why there is no result, in one sentence that names the photo.
    """
    name: str
    result: Path | None = None
    before: Path | None = None
    after: Path | None = None
    size: tuple[int, int] | None = None
    niqe: tuple[float | None, float | None] = (None, None)
    seconds: float = 0.
    memory: int | None = None
    notes: list[str] = field(default_factory=list)
    reason: str | None = None


class Studio:
    """The models that visitors can choose, each built when it is first needed; only one works at a time.

    Args:
        model (str, optional): Name or config of a further model, which becomes the default choice. Defaults to None.
        weights (str, optional): Its checkpoint. Defaults to None.
        pixel_limit (int, optional): A photo with more pixels is not read. Defaults to :data:`PIXEL_LIMIT`; None: no limit.
        **options: ``device``, ``amp``, ``max_pixels`` and ``bank`` of :class:`~mmskf.apis.SKFInferencer`.

    Attributes:
        models (list[str]): What can be chosen: all models in the index that need no weights, or have some.
        default (str): The one that is chosen first. It is built at once, so that a wrong call is found before anybody waits.

    Raises:
        FileNotFoundError, ValueError: As :class:`~mmskf.apis.SKFInferencer`.
    """

    def __init__(self, model: str | None = None, weights: str | None = None, pixel_limit: int | None = PIXEL_LIMIT,
                 **options: Any):
        if is_exported(model):
            raise ValueError(f'{model} is an exported model, for "mmskf enhance": give the page the name of the model instead')
        usable = [found['Name'] for found in model_index() if weights_of(found) != TO_BE_GIVEN]
        self.default = DEFAULT_MODEL
        if model is not None or weights is not None:
            self.default = Path(model or '').stem + (f' ({Path(weights).name})' if weights else '')
        self._given: dict[str, tuple[str | None, str | None]] = {
            self.default: (model, weights), **{name: (name, None) for name in sorted(usable) if name != self.default}}
        self._options = dict(options, pixel_limit=pixel_limit, show_progress=False, require_weights=True)
        self.pixel_limit = pixel_limit
        self._inferencers: dict[str, SKFInferencer] = {}
        self._busy = Lock()
        self._niqe = NIQE()
        self.inferencer(self.default)

    @property
    def models(self) -> list[str]:
        return list(self._given)

    def inferencer(self, model: str) -> SKFInferencer:
        """The inferencer of a model.

        Raises:
            ValueError: If it cannot be chosen.
        """
        if model not in self._given:
            raise ValueError(f'There is no model {model!r} here: choose one of {", ".join(self._given)}')
        if model not in self._inferencers:
            self._inferencers[model] = SKFInferencer(*self._given[model], **self._options)
        return self._inferencers[model]

    def enhance(self, photos: Sequence[Path], out_dir: Path, model: str, strength: float = 1.,
                class_strength: Mapping[str, float] | None = None) -> Iterator[Outcome]:
        """Enhances photos one after another; one that fails does not stop the others.

        Args:
            photos (Sequence[Path]): Their files.
            out_dir (Path): Folder for the results and the pictures for the page.
            model (str): One of :attr:`models`.
            strength (float): See :meth:`mmskf.apis.SKFInferencer.stream`. Defaults to 1.
            class_strength (Mapping[str, float], optional): Likewise. Defaults to None.

        Yields:
            Outcome: That of each photo, in order.

        Raises:
            ValueError: If a value is wrong; before anything is done.
        """
        with self._busy:
            inferencer = self.inferencer(model)
            sources = [_source(photo) for photo in photos]
            results = inferencer.stream(sources, out_dir / 'results', strength=strength, class_strength=class_strength)

        def outcomes() -> Iterator[Outcome]:
            for index, source in enumerate(sources):
                with self._busy:
                    outcome = self._finish(source, results, inferencer, out_dir / str(index))
                yield outcome

        return outcomes()

    def _finish(self, source: Source, results: Iterator[Result], inferencer: SKFInferencer, folder: Path) -> Outcome:
        """The outcome of the next photo."""
        device = inferencer.model.data_preprocessor.device
        outcome = Outcome(source.name)
        with suppress(OSError):
            reset_peak(device)
        start = time.perf_counter()
        result = next(results)
        outcome.seconds = time.perf_counter() - start
        with suppress(OSError):
            outcome.memory = read_peak(device)
        if result.photo is not None:
            outcome.notes = result.photo.notes
        if result.error is not None or result.prediction is None:
            outcome.reason = result.reason
            return outcome
        pixels, enhanced = result.pixels, result.prediction
        outcome.result, outcome.size = result.path, (pixels.shape[1], pixels.shape[0])
        outcome.niqe = self._niqe.measure(_middle(pixels)), self._niqe.measure(_middle(enhanced))
        outcome.before = _save(_preview(pixels), folder / 'before.jpg')
        outcome.after = _save(_preview(enhanced), folder / 'after.jpg')
        return outcome

    def find_classes(self, photo: Path, out_dir: Path, model: str) -> tuple[Path, list[str]]:
        """The semantic map of a photo.

        Args:
            photo (Path): Its file.
            out_dir (Path): Folder for the picture of the map.
            model (str): One of :attr:`models`.

        Returns:
            tuple: The picture, see :func:`~mmskf.utils.pictures.semantic_overlay`, and the names of the classes that cover at
            least :data:`CLASS_SHARE` of the photo, the largest first.

        Raises:
            OSError, ValueError: If the photo cannot be read.
        """
        with self._busy:
            inferencer = self.inferencer(model)
            pixels = _source(photo).read(self.pixel_limit).pixels
            labels = inferencer.labels(pixels)
        shares = np.bincount(labels.ravel(), minlength=len(inferencer.classes)) / labels.size
        found = [inferencer.classes[label] for label in np.argsort(-shares, kind='stable') if shares[label] >= CLASS_SHARE]
        small = np.asarray(_preview(pixels))
        rows, columns = (np.arange(new) * old // new for new, old in zip(small.shape[:2], labels.shape))
        overlay = semantic_overlay(small, labels[rows][:, columns], inferencer.classes)
        return _save(Image.fromarray(overlay), out_dir / 'map.png'), found


def _source(photo: Path) -> Source:
    """A photo under the name that the visitor knows."""
    gone = None if photo.is_file() else FileNotFoundError(f'{photo.name} is no longer on the server: drop it again')
    return Source(str(photo), photo.name, photo.name, gone)


def _middle(pixels: np.ndarray) -> np.ndarray:
    """The middle of a photo, of the same shape, with at most :data:`SCORED_PIXELS`."""
    height, width = pixels.shape[:2]
    share = min(1., (SCORED_PIXELS / (height * width))**0.5)
    rows, columns = int(height * share), int(width * share)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top:top + rows, left:left + columns]


def _preview(pixels: np.ndarray) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return picture


def _save(picture: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, quality=90)
    return path

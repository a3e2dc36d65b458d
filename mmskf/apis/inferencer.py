import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from rich.console import Console
from rich.progress import track
from torch import nn

from mmskf.datasets import without_ground_truth
from mmskf.models.skb import KnowledgeBank
from mmskf.models.skb.class_names import class_names
from mmskf.registry import MODELS
from mmskf.utils.image import to_float_rgb, to_uint8
from mmskf.utils.image_file import PIXEL_LIMIT
from mmskf.utils.photos import PhotoInput, Result, ResultFolder, Source, find_photos
from mmskf.utils.pictures import semantic_overlay, side_by_side
from mmskf.utils.strength import blend, check_strength, strength_map

from .config import bank_config, first_test_dataloader, indexed_weights, load_config
from .model import check_device, has_weights, init_model, load_weights

#: The model of ``SKFInferencer()`` and ``mmskf enhance`` if none is given. Its weights are in the package.
DEFAULT_MODEL = 'nafnet_s_skf_mixed'
#: The knowledge bank that segments photos if the model has none.
DEFAULT_BANK = 'skb/hrnet_w18s_camvid'
BANK_PIXELS = 1_000_000  # maximum size at which the bank segments a photo
OUT_OF_MEMORY = ("can't allocate memory", 'not enough memory', 'out of memory')


class SKFInferencer(BaseInferencer):
    """Enhances photos: of any size, on any device, without ground truth.

    Args:
        model (str | Path | Config | nn.Module, optional): Name of a model (see :func:`list_models`), config, or a model built by
            :func:`init_model`. Defaults to None: the method that comes with mmskf, :data:`DEFAULT_MODEL`.
        weights (str, optional): Path or URL of its checkpoint. Defaults to None: that of the model index, if it has one.
        device (str, optional): Device of the model. Defaults to None: a GPU if available, else the CPU.
        amp (bool): Whether to use mixed precision: float16 on a GPU, bfloat16 on a CPU. Defaults to False.
        max_pixels (int, optional): A photo with more pixels is enhanced in tiles of at most this size, which bounds the memory.
            Defaults to None: the network's own limit; 0: no tiles.
        pixel_limit (int, optional): A file with more pixels is not read. Defaults to 2^28; None: no limit.
        bank (str, optional): Config of the knowledge bank that segments photos, for ``class_strength`` and ``semantic_map``.
            Defaults to None: the model's own, else :data:`DEFAULT_BANK`.
        show_progress (bool): Whether to show a progress bar for several photos. Defaults to True.
        require_weights (bool): Whether it is an error, not only a warning, if a model that needs weights has none, so that its
            results would be random. Defaults to False.

    Examples:
        >>> enhance = SKFInferencer('drbn_lol', 'checkpoints/drbn.pth')
        >>> bright = enhance('dark.jpg')['predictions'][0]
        >>> enhance('folder_of_dark_photos', out_dir='bright')
        >>> for result in enhance.stream('thousands_of_photos', out_dir='bright'):
        ...     print(result.source.name, result.reason or result.path)

    Raises:
        FileNotFoundError, ValueError: As in :func:`init_model`.
    """
    preprocess_kwargs: set[str] = set()
    forward_kwargs = {'strength', 'class_strength'}
    visualize_kwargs = {'side_by_side', 'semantic_map'}
    postprocess_kwargs = {'bits'}

    def __init__(self,
                 model: str | Path | Config | nn.Module | None = None,
                 weights: str | None = None,
                 device: str | None = None,
                 amp: bool = False,
                 max_pixels: int | None = None,
                 pixel_limit: int | None = PIXEL_LIMIT,
                 bank: str | None = None,
                 show_progress: bool = True,
                 require_weights: bool = False):
        if model is None and weights is not None:
            raise ValueError(f'{weights} was given without the model that it belongs to: name that as well')
        for name, value in (('max_pixels', max_pixels), ('pixel_limit', pixel_limit)):
            if value is not None and value < 0:
                raise ValueError(f'{name}={value!r}: expected a number of pixels')
        self.amp, self.max_pixels, self.pixel_limit = amp, max_pixels, pixel_limit
        self._given = model if isinstance(model, nn.Module) else None
        self._bank_config, self._require_weights = bank, require_weights
        self._bank: KnowledgeBank | None = None
        self._classes: list[str] | None = None
        if self._given is not None:
            cfg = self._given.cfg
        elif isinstance(model, Config):
            cfg = model
        else:
            chosen: Any = DEFAULT_MODEL if model is None else model
            cfg = load_config(chosen)
            weights = weights or indexed_weights(cfg)
        super().__init__(cfg, None if weights is None else str(weights), device, scope='mmskf', show_progress=show_progress)

    def _init_model(self, cfg: Config, weights: str | None, device: str = 'cpu') -> nn.Module:
        if self._given is not None:
            check_device(device)
            if weights is not None:
                load_weights(self._given, weights)
            return self._given.to(device).eval()
        model = init_model(cfg, weights, device)
        if weights is None and has_weights(model):
            message = (f'{_name_of(cfg)} was given no weights: what it makes of a photo is random. Give its checkpoint as '
                       '`weights` (--weights), or choose a model that needs none, such as clahe')
            if self._require_weights:
                raise ValueError(message)
            warnings.warn(message, stacklevel=2)
        return model

    def _init_pipeline(self, cfg: Config) -> Callable[[dict], dict]:
        with DefaultScope.overwrite_default_scope('mmskf'):
            return Compose(without_ground_truth(first_test_dataloader(cfg).dataset.pipeline))

    def _init_collate(self, cfg: Config) -> Callable[[Sequence[dict]], dict]:
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """None: pictures are made here, and a Visualizer would create a folder of its own."""

    def __call__(self,
                 inputs: PhotoInput | Sequence[PhotoInput],
                 out_dir: str | Path | None = None,
                 fail_fast: bool | None = None,
                 **kwargs: Any) -> dict[str, list]:
        """Enhances photos and keeps all results in memory; for thousands of photos see :meth:`stream`.

        Args:
            inputs (str | Path | np.ndarray | Sequence): See :meth:`stream`.
            out_dir (str | Path, optional): See :meth:`stream`.
            fail_fast (bool, optional): Whether to raise an error at the first failure instead of continuing with the other
                photos. Defaults to None: only if a single file or array is given.
            **kwargs: See :meth:`stream`.

        Returns:
            dict: ``predictions``: uint8 RGB arrays (H, W, 3) in the order of the inputs, None for a failed one; ``failures``:
            (input, reason) for each failed one; ``visualization``: a dict of pictures for each input, see :meth:`stream`.

        Raises:
            OSError, ValueError...: The error of a photo, with ``fail_fast``.
        """
        sources, notes = find_photos(inputs, out_dir)
        if fail_fast is None:
            fail_fast = _is_single(inputs, sources)
        results = self._stream(sources, notes, out_dir, fail_fast, **kwargs)
        found = list(track(results, 'Enhancing', len(sources), console=Console(stderr=True),
                           disable=not self.show_progress or len(sources) < 2))
        return dict(
            predictions=[result.prediction for result in found],
            failures=[(result.source.given, result.reason) for result in found if result.error is not None],
            visualization=[result.pictures for result in found])

    def stream(self,
               inputs: PhotoInput | Sequence[PhotoInput],
               out_dir: str | Path | None = None,
               fail_fast: bool = False,
               **kwargs: Any) -> Iterator[Result]:
        """Enhances photos one after another, keeping no more than one batch in memory.

        Args:
            inputs (str | Path | np.ndarray | Sequence): A file, a folder (with subfolders), a pattern (``photos/**/*.jpg``), an
                array (H, W), (H, W, 2), (H, W, 3) or (H, W, 4), RGB, of uint8, uint16 or floats in [0, 1], or several of them.
            out_dir (str | Path, optional): Also writes each result there, with the name, subfolder, format, EXIF and alpha of its
                input. Defaults to None.
            fail_fast (bool): Whether to raise an error at the first failure instead of continuing with the other photos. Defaults
                to False.
            **kwargs: Options of the results:

                - ``batch_size`` (int): Photos of the same size to enhance at once. Defaults to 1.
                - ``format`` (str): Format of the files, such as 'png'. Defaults to None: that of the input.
                - ``bits`` (int): 16 writes PNG and TIFF with 16 bits per channel. Defaults to 8.
                - ``strength`` (float): From 0 (unchanged photo) to 1 (fully enhanced), blended in linear light. Defaults to 1.
                - ``class_strength`` (dict[str, float]): Strength of single classes of the knowledge bank, such as
                  ``{'sky': 0.2}``; smooth between classes. Defaults to None.
                - ``side_by_side`` (bool): Also makes a picture of input and result. Defaults to False.
                - ``semantic_map`` (bool): Also makes a picture of the semantic map. Defaults to False.

        Yields:
            Result: The result for each photo, in order. Further pictures are written to folders of their names in ``out_dir``.

        Raises:
            FileExistsError: Before anything is done, if a result would replace an input.
            ValueError: If an option is unknown, or a value out of range.
        """
        sources, notes = find_photos(inputs, out_dir)
        return self._stream(sources, notes, out_dir, fail_fast, **kwargs)

    def _stream(self, sources: list[Source], notes: Sequence[str], out_dir: str | Path | None, fail_fast: bool,
                batch_size: int = 1, format: str | None = None, **kwargs: Any) -> Iterator[Result]:
        # Errors in the call are raised here, not when the first result is requested.
        _, forward_kwargs, visualize_kwargs, postprocess_kwargs = self._dispatch_kwargs(**kwargs)
        self.check_options(**forward_kwargs, **postprocess_kwargs)
        if forward_kwargs.get('class_strength') or visualize_kwargs.get('semantic_map'):
            self._load_bank()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f'batch_size={batch_size!r}: expected 1 or more')
        folder = None if out_dir is None else ResultFolder(out_dir, sources, format, postprocess_kwargs.get('bits', 8))
        if not sources:
            warnings.warn('There is nothing to enhance: the list of inputs is empty', stacklevel=2)
        for note in notes:
            print_log(note, logger='current', level=logging.WARNING)

        def results() -> Iterator[Result]:
            for batch in self.preprocess(sources, batch_size):
                self.forward(batch, **forward_kwargs)
                for result in batch:
                    self._try(result, self.visualize, **visualize_kwargs)
                    self._try(result, self.postprocess, folder=folder, **postprocess_kwargs)
                    if fail_fast and result.error is not None:
                        raise _naming(result)
                    yield result

        return results()

    def check_options(self, strength: float = 1., class_strength: Mapping[str, float] | None = None, bits: int = 8) -> None:
        """Raises ValueError if an option of :meth:`stream` is out of range."""
        check_strength(strength)
        if class_strength:
            strength_map(np.zeros((1, 1), np.int64), self.classes, class_strength, strength)
        if bits not in (8, 16):
            raise ValueError(f'bits={bits!r}: choose 8 or 16')

    @property
    def bank(self) -> KnowledgeBank:
        """The knowledge bank that segments photos."""
        if self._bank is None:
            own = getattr(self.model, 'skb', None)
            if own is not None and self._bank_config is None and own.num_classes:
                self._bank = own
            else:
                self._bank = build_bank(self._bank_config or DEFAULT_BANK, self._device)
        return self._bank

    def _load_bank(self) -> None:
        """Loads the weights of the bank, so that an error comes before the first photo is enhanced."""
        if not self.bank.loaded:
            self.bank.load()

    @property
    def classes(self) -> list[str]:
        """The names of the knowledge bank's classes, for ``class_strength``."""
        if self._classes is None:
            self._classes = class_names(self.bank)
        return self._classes

    @property
    def _device(self) -> torch.device:
        return self.model.data_preprocessor.device

    @staticmethod
    def _try(result: Result, step: Callable[..., Any], **kwargs: Any) -> Any:
        """Runs a step for a photo that has not failed; if it fails now, the result holds the error."""
        if result.error is None:
            try:
                return step(result, **kwargs)
            except Exception as error:  # Of any kind: the other photos are enhanced, and this one is reported.
                result.error, result.enhanced = error, None
        return None

    def preprocess(self, inputs: Iterable[Source], batch_size: int = 1, **kwargs: Any) -> Iterator[list[Result]]:
        """Reads photos in batches of consecutive photos of the same size; unreadable ones stay in their batch."""
        batch: list[Result] = []
        for source in inputs:
            result = Result(source)
            result.photo = self._try(result, lambda result: result.source.read(self.pixel_limit))
            if batch and (len(batch) == batch_size or _size(batch[-1]) != _size(result)):
                yield batch
                batch = []
            batch.append(result)
            for note in result.photo.notes if result.photo else []:
                print_log(note, logger='current', level=logging.WARNING)
        if batch:
            yield batch

    def forward(self, inputs: list[Result], strength: float = 1., class_strength: Mapping[str, float] | None = None) -> None:
        """Enhances a batch or, if that fails, photo by photo, so that only photos that fail on their own are lost."""
        sound = [result for result in inputs if result.error is None]
        if len(sound) > 1:
            try:
                for result, image in zip(sound, self._enhance(sound)):
                    result.enhanced = image
            except Exception:
                pass  # Each reports its own error below.
        for result in sound:
            self._try(result, self._finish, strength=strength, class_strength=class_strength)

    def _finish(self, result: Result, strength: float, class_strength: Mapping[str, float] | None) -> None:
        enhanced = self._enhance([result])[0] if result.enhanced is None else result.enhanced
        share: float | np.ndarray = strength
        if class_strength:
            share = strength_map(self.labels(result.pixels), self.classes, class_strength, strength)
        result.enhanced = blend(result.pixels, enhanced, share)

    @torch.inference_mode()
    def _enhance(self, results: Sequence[Result]) -> list[np.ndarray]:
        """The enhanced images of photos of one size, float32 (H, W, 3), RGB, 0..255."""
        data = self.collate_fn([self.pipeline(dict(img=result.pixels, key=result.source.name)) for result in results])
        try:
            with self._for_photos(), self._autocast():
                outputs = [sample.output.pred_img for sample in self.model.test_step(data)]
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(text in str(error) for text in OUT_OF_MEMORY):
                height, width = results[0].pixels.shape[:2]
                raise MemoryError(f'The memory is not enough for {width}x{height} pixels: enhance it in smaller tiles, by a '
                                  f'smaller max_pixels (--max-pixels), now {self._tile_pixels or "without limit"}') from error
            raise
        return [to_float_rgb(output) for output in outputs]

    @property
    def _tile_pixels(self) -> int | None:
        """Maximum pixels of a photo that is enhanced at once; None: no limit."""
        if self.max_pixels is None:
            return self.model.max_pixels or self.model.generator.max_pixels
        return self.max_pixels or None

    @contextmanager
    def _for_photos(self) -> Iterator[None]:
        """Prepares the model for photos, and restores it afterwards: it may be in training elsewhere."""
        model, preprocessor = self.model, self.model.data_preprocessor
        before = preprocessor.data_keys, model.max_pixels
        # mmagic's preprocessor warns about every sample without the ground truth that it is configured to expect.
        preprocessor.data_keys = None
        model.max_pixels = self._tile_pixels
        try:
            yield
        finally:
            preprocessor.data_keys, model.max_pixels = before

    def _autocast(self) -> AbstractContextManager:
        if not self.amp:
            return nullcontext()
        kind = self._device.type
        return torch.autocast(kind, torch.float16 if kind == 'cuda' else torch.bfloat16)

    @torch.inference_mode()
    def labels(self, image: np.ndarray) -> np.ndarray:
        """The label map of a photo, predicted by the knowledge bank from a version of bounded size.

        Args:
            image (np.ndarray): uint8 (H, W, 3), RGB.

        Returns:
            np.ndarray: int64 (H, W), see :attr:`classes`.
        """
        height, width = image.shape[:2]
        tensor = torch.from_numpy(image.copy()).to(self._device).permute(2, 0, 1)[None] / 255
        shrink = min(1., (BANK_PIXELS / (height * width))**0.5)
        if shrink < 1:
            tensor = F.interpolate(tensor, scale_factor=shrink, mode='area', recompute_scale_factor=True)
        labels = self.bank(tensor).labels[:, None].float()
        return F.interpolate(labels, size=(height, width))[0, 0].long().cpu().numpy()

    def visualize(self, inputs: Result, side_by_side: bool = False, semantic_map: bool = False, **kwargs: Any) -> None:
        """Makes the requested pictures."""
        image = inputs.pixels
        if side_by_side:
            inputs.pictures['side_by_side'] = _side_by_side(image, to_uint8(np.asarray(inputs.enhanced)))
        if semantic_map:
            inputs.pictures['semantic_map'] = semantic_overlay(image, self.labels(image), self.classes)

    def postprocess(self, preds: Result, folder: ResultFolder | None = None, bits: int = 8, **kwargs: Any) -> None:
        """Writes a result and its further pictures, if there is a folder for them."""
        if folder is not None:
            folder.write_result(preds, bits)

    @staticmethod
    def find_files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
        """Files, and the images in folders and subfolders, sorted.

        Raises:
            FileNotFoundError: If there is no such file, or a folder contains no images.
        """
        sources, _ = find_photos(paths)
        for source in sources:
            if source.error is not None:
                raise source.error
        return [Path(str(source.given)) for source in sources]


_side_by_side = side_by_side  # the picture, beside the option of that name


@torch.inference_mode(False)  # Weights cannot be loaded later into what was built in inference mode.
def build_bank(name: str | Path, device: str | torch.device = 'cpu') -> KnowledgeBank:
    """The knowledge bank of a config such as those of ``configs/skb``, in eval mode.

    Raises:
        FileNotFoundError, ValueError: If there is no such config, or it describes no knowledge bank.
    """
    with DefaultScope.overwrite_default_scope('mmskf'):
        return MODELS.build(bank_config(name)).to(device).eval()


def _is_single(inputs: Any, sources: Sequence[Source]) -> bool:
    """Whether a single file or array was given, not several, a folder or a pattern."""
    if len(sources) != 1:
        return False
    given = sources[0].given
    return given is inputs or (isinstance(inputs, (str, Path)) and given == str(inputs))


def _size(result: Result) -> tuple[int, ...] | None:
    return None if result.photo is None else result.photo.pixels.shape


def _naming(result: Result) -> Exception:
    """The error of a photo, changed to name it if it does not."""
    if result.error is not None and result.source.name in str(result.error):
        return result.error
    error = RuntimeError(result.reason)
    error.__cause__ = result.error
    return error


def _name_of(cfg: Config) -> str:
    return Path(cfg.filename).stem if cfg.filename else 'The model'

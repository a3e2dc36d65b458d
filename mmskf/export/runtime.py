"""Runs exported models on photos by onnxruntime, without PyTorch and OpenMMLab.

It needs numpy, Pillow, OpenCV, tifffile and onnxruntime only (requirements/light.txt; docs/export.md).
"""
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmskf.utils.image import to_uint8
from mmskf.utils.image_file import PIXEL_LIMIT
from mmskf.utils.photos import PhotoInput, Result, ResultFolder, Source, find_photos
from mmskf.utils.pictures import side_by_side
from mmskf.utils.strength import blend, check_strength
from mmskf.utils.tiles import Span, grid_of, resampling, shares_of, shrunk_size

from . import ONNX

#: The key of mmskf's own data in the metadata of an ONNX file; its value is JSON.
METADATA_KEY = 'mmskf'
#: The input of a file for tiles that says whether the image is one.
TILE = 'tile'
#: The names of statistics of the whole image begin with it; the others that a tile needs are maps of the prior.
STATISTIC = 'statistic_'
#: The name of an output that a tile needs of the whole image is that of the tile's input and this.
OF_WHOLE = '_of_whole'
PROVIDERS = dict(cpu='CPUExecutionProvider', cuda='CUDAExecutionProvider')


class ExportedModel:
    """An ONNX file written by ``mmskf export``, as a function from photo to enhanced photo.

    Padding, the knowledge bank and everything else that the method computes from the photo are in the file; what remains for
    this class is 8 bits to [0, 1] and the layout of the axes.

    Args:
        path (str | Path): The file.
        device (str): 'cpu', or 'cuda' with the package onnxruntime-gpu. Defaults to 'cpu'.
        threads (int): Threads for the computation. Defaults to 0: as many as there are cores.
        max_pixels (int, optional): A photo with more pixels is enhanced in tiles of at most this size, which bounds the memory.
            Defaults to None: the network's own limit; 0: no tiles.

    Attributes:
        metadata (dict): 'model': its name; 'version': that of mmskf; 'prior': the names of the maps of the prior, if that is an
            input; 'dtype': 'float32', 'float16' or 'int8'; 'of_whole': the names of what a tile needs of the whole image, None if
            the file is not for tiles, and 'obstacle': why no file can be; 'max_pixels', 'context', 'size_divisor': as in
            :class:`mmskf.models.EnhancementNet`.

    Shape:
        uint8 (H, W, 3), RGB -> float32 (H, W, 3), RGB, 0..255, not rounded

    Examples:
        >>> enhance = ExportedModel('drbn.onnx')
        >>> bright = enhance(np.asarray(Image.open('dark.jpg').convert('RGB'))).round().astype(np.uint8)

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is not installed.
        ValueError: If the file is no ONNX file of mmskf, or the device is unknown.
    """

    def __init__(self, path: str | Path, device: str = 'cpu', threads: int = 0, max_pixels: int | None = None):
        if not Path(path).is_file():
            raise FileNotFoundError(f'There is no exported model {path}: "mmskf export MODEL -o {path}" writes one')
        if Path(path).suffix.lower() != ONNX:
            raise ValueError(f'{path} is a program of PyTorch, for torch.export.load: export the model to a file {ONNX} to '
                             'enhance photos with it')
        if max_pixels is not None and max_pixels < 0:
            raise ValueError(f'max_pixels={max_pixels!r}: expected a number of pixels')
        if device not in PROVIDERS:
            raise ValueError(f'device={device!r}: an exported model runs on {" or ".join(PROVIDERS)}')
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(f'{path} needs the package onnxruntime ({error}): pip install onnxruntime') from error
        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            raise ValueError(f'device={device!r}: the installed onnxruntime has no {PROVIDERS[device]}: pip install '
                             'onnxruntime-gpu')
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only; its warnings are about its own optimizations
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=[PROVIDERS[device]])
        except Exception as error:  # each kind of damage has its own
            reason = ' '.join(str(error).split())
            raise ValueError(f'{path} cannot be read as an ONNX model ({reason}): get or export it again, or install a newer '
                             'onnxruntime if this one does not know its version of ONNX') from error
        self.path = Path(path)
        self.metadata = self._read_metadata()
        self.max_pixels = self.metadata.get('max_pixels') if max_pixels is None else max_pixels or None

    def _read_metadata(self) -> dict[str, Any]:
        """What "mmskf export" wrote into the file.

        Raises:
            ValueError: If it was written by something else.
        """
        known = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if known is None:
            raise ValueError(f'{self.path} was not written by "mmskf export": its inputs and outputs are unknown')
        try:
            metadata = json.loads(known)
            lacking = {'model', 'version', 'prior', 'dtype'} - metadata.keys()
        except (AttributeError, ValueError):
            lacking = {'data of its own'}
        if lacking:
            raise ValueError(f'{self.path} lacks {", ".join(sorted(lacking))}: it was written by another version of mmskf. '
                             'Export the model again')
        return metadata

    def __call__(self, image: np.ndarray, prior: dict[str, np.ndarray] | None = None) -> np.ndarray:
        """Enhances a photo.

        Args:
            image (np.ndarray): uint8 (H, W, 3), RGB.
            prior (dict[str, np.ndarray], optional): The maps (C, h, w), float32, that ``metadata['prior']`` names, for a file
                without a knowledge bank. Defaults to None.

        Raises:
            FloatingPointError: If the result is not finite.
            MemoryError: If the memory is not enough.
            ValueError: If the prior is missing.
        """
        lacking = [name for name in self.metadata['prior'] if name not in (prior or {})]
        if lacking:
            raise ValueError(f'{self.path} was exported without its knowledge bank, and needs the maps {", ".join(lacking)} of a '
                             'prior for each photo: export it without --given-prior')
        if self.max_pixels and image.shape[0] * image.shape[1] > self.max_pixels:
            return self._in_tiles(image, self.max_pixels)
        maps = {name: np.asarray(prior[name], np.float32)[None] for name in self.metadata['prior'] if prior}
        return self._run(image, maps)[0]

    def _run(self, image: np.ndarray, feed: dict[str, np.ndarray], outputs: Sequence[str] = ('enhanced', )) -> list[np.ndarray]:
        """Outputs of the file for an image of 0..255 (H, W, 3); the enhanced one is the first, (H, W, 3) in 0..255."""
        feed = dict(feed, image=np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / np.float32(255))
        try:
            enhanced, *others = self.session.run(outputs, feed)
        except Exception as error:
            height, width = image.shape[:2]
            raise MemoryError(f'{self.path} does not run on {width}x{height} pixels, probably since the memory is not enough: '
                              'give a smaller photo, or a smaller max_pixels (--max-pixels) '
                              f'({" ".join(str(error).split())})') from error
        if not np.isfinite(enhanced).all():
            raise FloatingPointError(f'The output of {self.path} is NaN or infinite: its weights are broken, or {self.dtype} is '
                                     'not enough for it')
        return [np.ascontiguousarray(enhanced[0].transpose(1, 2, 0)) * np.float32(255), *others]

    def _in_tiles(self, image: np.ndarray, max_pixels: int) -> np.ndarray:
        """Enhances a large image (H, W, 3) in tiles, as :func:`mmskf.models.whole_image.enhance_in_tiles` does.

        Raises:
            ValueError: If the file is not for tiles.
        """
        height, width = image.shape[:2]
        needs = self.metadata.get('of_whole')
        if needs is None:
            obstacle = self.metadata.get('obstacle')
            advice = f'it has no tiles, since {obstacle}: use the model itself' if obstacle else 'export the model with --tiles'
            raise ValueError(f'{self.path} enhances at most {max_pixels:,} pixels at once, and this photo has {width}x{height}. '
                             f'{advice[0].upper()}{advice[1:]}; or, if the memory is enough for all of it (about 2 GB for a '
                             'million pixels), set max_pixels=0 (--max-pixels 0)')
        divisor = self.metadata['size_divisor']
        padded = np.pad(image, ((0, -height % divisor), (0, -width % divisor), (0, 0)), 'reflect')
        size = padded.shape[:2]
        seen = shrunk_size(size, max_pixels, divisor)
        whole: dict[str, np.ndarray] = {}
        if needs:
            _, *values = self._run(_shrunk(padded, seen), {}, ['enhanced', *(f'{name}{OF_WHOLE}' for name in needs)])
            whole = dict(zip(needs, values))
        result = np.zeros((*size, 3), np.float32)
        rows, columns, context = grid_of(size, max_pixels, self.metadata['context'], divisor)
        for row, share_down in zip(rows, shares_of(rows, context)):
            for column, share_across in zip(columns, shares_of(columns, context)):
                feed = {name: value if name.startswith(STATISTIC) else _part_of_map(value, (row, column), size, seen)
                        for name, value in whole.items()}
                window = slice(*row), slice(*column)
                tile = self._run(padded[window], feed | ({TILE: np.array(True)} if needs else {}))[0]
                result[window] += tile * (share_down[:, None] * share_across)[..., None]
        return result[:height, :width].clip(0, 255)

    @property
    def dtype(self) -> str:
        """'float32', or how the weights were compressed."""
        return self.metadata['dtype']

    def stream(self,
               inputs: PhotoInput | Sequence[PhotoInput],
               out_dir: str | Path | None = None,
               format: str | None = None,
               bits: int = 8,
               strength: float = 1.,
               with_original: bool = False,
               pixel_limit: int | None = PIXEL_LIMIT) -> Iterator[Result]:
        """Enhances photos one after another, like :meth:`mmskf.apis.SKFInferencer.stream`.

        Args:
            inputs (str | Path | np.ndarray | Sequence): A file, a folder, a pattern, an array, or several of them.
            out_dir (str | Path, optional): Also writes each result there. Defaults to None.
            format (str, optional): Format of the files. Defaults to None: that of the input.
            bits (int): 16 writes PNG and TIFF with 16 bits per channel. Defaults to 8.
            strength (float): From 0 (unchanged photo) to 1 (fully enhanced). Defaults to 1.
            with_original (bool): Whether to make a picture of input and result, side by side. Defaults to False.
            pixel_limit (int, optional): A file with more pixels is not read. Defaults to 2^28; None: no limit.

        Yields:
            Result: The result for each photo, in order; ``error`` is set if it failed.

        Raises:
            FileExistsError: Before anything is done, if a result would replace an input.
            ValueError: If an option has a value out of range.
        """
        check_strength(strength)
        if bits not in (8, 16):
            raise ValueError(f'bits={bits!r}: choose 8 or 16')
        sources, notes = find_photos(inputs, out_dir)
        folder = None if out_dir is None else ResultFolder(out_dir, sources, format, bits)
        for note in notes:
            warnings.warn(note, stacklevel=2)

        def enhance(source: Source) -> Result:
            result = Result(source)
            try:
                result.photo = source.read(pixel_limit)
                for note in result.photo.notes:
                    warnings.warn(note, stacklevel=2)
                result.enhanced = blend(result.pixels, self(result.pixels), strength)
                if with_original:
                    result.pictures['side_by_side'] = side_by_side(result.pixels, to_uint8(result.enhanced))
                if folder is not None:
                    folder.write_result(result, bits)
            except Exception as error:  # Of any kind: the other photos are enhanced, and this one is reported.
                result.error, result.enhanced = error, None
            return result

        return map(enhance, sources)


def _shrunk(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Downsamples (H, W, 3) to float32, as ``torch.nn.functional.interpolate(mode='area')`` does."""
    for axis, (cells, length) in enumerate(zip(size, image.shape)):
        bins = [(i * length // cells, -(-(i + 1) * length // cells)) for i in range(cells)]
        image = np.stack([image[(slice(None), ) * axis + (slice(*span), )].mean(axis, np.float32) for span in bins], axis)
    return image


def _part_of_map(maps: np.ndarray, window: Sequence[Span], size: Sequence[int], seen: Sequence[int]) -> np.ndarray:
    """The part of a map of the prior (1, C, h, w) for a tile, as in :func:`mmskf.models.whole_image.prior_of_window`."""
    for axis, span, length, part in zip((2, 3), window, size, seen):
        first, second, weight = resampling(maps.shape[axis], span, length, part)
        share = weight.astype(np.float32).reshape([-1 if i == axis else 1 for i in range(4)])
        maps = maps.take(first, axis) * (1 - share) + maps.take(second, axis) * share
    return maps

"""Semantic priors of whole images on a disk, and data pipelines that add to each training crop its part of them.

The knowledge bank is frozen, so the prior of an image never changes: it can be computed once, instead of in every iteration.
"""
import hashlib
from collections.abc import Sequence
from copy import deepcopy
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
from mmagic.datasets.transforms import FixedCrop, Flip, LoadImageFromFile, RandomTransposeHW, Resize
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from safetensors.torch import save
from torch import Tensor

from mmskf.structures import SemanticPrior, put_prior
from mmskf.utils.files import atomic_open

from .transforms import AppendEqualized, LoadImage, RandomCrop, StretchRange

# Steps of a pipeline that give the same pixels every time, and steps that only move pixels.
FIXED = (LoadImage, LoadImageFromFile, Resize, StretchRange, AppendEqualized)
MOVING = (RandomCrop, FixedCrop, Flip, RandomTransposeHW)
# Class scores are stored at a quarter of the resolution or, if that is finer, at that of the finest feature.
LOGITS_STRIDE = 4
BYTES = 2  # of a float16
# Key of an image that the moving steps treat like the others: the (row, column) in the whole image of each pixel.
POSITIONS = 'img_positions'


class View(NamedTuple):
    """Where the pixels of a crop are in the whole image.

    Args:
        size (tuple[int, int]): Height and width of the whole image.
        rows (np.ndarray): Rows of the whole image, in ascending or descending order: (h, ).
        columns (np.ndarray): Its columns, likewise: (w, ).
        transposed (bool): Whether rows and columns are swapped in the crop.
    """
    size: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    transposed: bool = False

    @classmethod
    def of_whole(cls, height: int, width: int) -> 'View':
        """The view of the whole image."""
        return cls((height, width), np.arange(height), np.arange(width))

    @classmethod
    def of_positions(cls, positions: np.ndarray, size: tuple[int, int]) -> 'View':
        """The view of a crop of ``positions`` (h, w, 2)."""
        transposed = bool(positions[0, 0, 0] != positions[0, -1, 0])
        if transposed:
            positions = positions.transpose(1, 0, 2)
        return cls(size, positions[:, 0, 0], positions[0, :, 1], transposed)


class PriorCache:
    """A folder with the priors of whole images from one knowledge bank, in float16, a file each.

    Files are mapped into memory and only the part of a crop is read. They are complete or not there, contain no code, and are
    named by the hash of the pixels, so that neither another data set nor a changed file is ever mistaken for a known image.

    Args:
        folder (str | Path): The folder; it need not exist.
        strides (Sequence[int]): Strides of the bank's features.
        channels (dict): The bank's :attr:`KnowledgeBank.channels`; without 'logits', the files need none.
    """

    def __init__(self, folder: str | Path, strides: Sequence[int], channels: dict[int | str, int]):
        self.folder = Path(folder)
        self.strides = {str(index): stride for index, stride in enumerate(strides)}
        if 'logits' in channels:
            self.strides['logits'] = min(LOGITS_STRIDE, *strides)
        self.channels = {str(name): width for name, width in channels.items()}

    @staticmethod
    def key(image: np.ndarray, order: str | None) -> str:
        """The hash of an image (H, W, 3 or more), of its first three channels, and their order."""
        pixels = np.ascontiguousarray(image[..., :3])
        digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype} {order}'.encode())
        digest.update(pixels.data)
        return digest.hexdigest()

    def path(self, key: str) -> Path:
        """The file of an image."""
        return self.folder / f'{key}.safetensors'

    def num_bytes(self, size: tuple[int, int]) -> int:
        """What the prior of an image of (height, width) takes on the disk, but for a few hundred bytes."""
        return sum(BYTES * self.channels[name] * prod(-(-side // stride) for side in size)
                   for name, stride in self.strides.items())

    def has(self, key: str) -> bool:
        """Whether there is an intact file of an image with all maps that are needed: it is read, and its checksum compared."""
        try:
            with safetensors.safe_open(self.path(key), framework='pt') as file:
                names = file.keys()
                maps = {name: file.get_tensor(name) for name in names}
                return self.strides.keys() <= maps.keys() and (file.metadata() or {}).get('sha256') == checksum(maps)
        except (OSError, safetensors.SafetensorError):  # there is none, or half a one
            return False

    def write(self, key: str, prior: SemanticPrior) -> None:
        """Stores the prior of one whole image.

        Args:
            key (str): See :meth:`key`.
            prior (SemanticPrior): Of a batch of one, with logits if the cache has them.

        Raises:
            OSError: If the file cannot be written.
            ValueError: If a value is too large for float16.
        """
        maps = {name: prior.maps[name] for name in self.strides}
        if 'logits' in maps:
            maps['logits'] = reduce(maps['logits'].float(), self.strides['logits'])
        small = {name: value[0].to(torch.float16).cpu().contiguous() for name, value in maps.items()}
        for name, value in small.items():
            if not value.isfinite().all():
                raise ValueError(f'The knowledge bank has values above {torch.finfo(torch.float16).max:g}, or NaN, in {name} of '
                                 'a training image, which the prior cache cannot store in float16: train without PriorCacheHook')
        with atomic_open(self.path(key)) as file:
            file.write(save(small, {'sha256': checksum(small)}))

    def read(self, key: str, view: View) -> SemanticPrior:
        """The part of a stored prior for a crop.

        The features have the strides that they would have if the bank had seen the crop, interpolated linearly where the crop
        begins between two of their pixels. The class scores are interpolated to the pixels of the crop.

        Args:
            key (str): See :meth:`key`.
            view (View): The crop.

        Returns:
            SemanticPrior: Maps (C, h, w), without a batch, in float16.

        Raises:
            OSError: If there is no such file, or it is damaged.
        """
        try:
            with safetensors.safe_open(self.path(key), framework='pt') as file:
                return SemanticPrior.of_maps({name: self._cut(file.get_slice(name), name, view) for name in self.strides})
        except (OSError, safetensors.SafetensorError) as error:
            raise OSError(f'The prior cache has lost the prior of a training image, or the image has changed since the training '
                          f'started ({error}): start it again, which completes the cache') from error

    def _cut(self, stored: Any, name: str, view: View) -> Tensor:
        stride = self.strides[name]
        windows, weights = [], []
        for pixels, total, length in zip((view.rows, view.columns), view.size, stored.get_shape()[1:]):
            # The class scores were resized, so that their stride is a fraction where the image is no multiple of it.
            place = places_in(pixels, total / length, 1) if name == 'logits' else places_in(pixels, stride, stride)
            place = place.clip(0, length - 1)
            begin, end = int(place.min()), int(np.ceil(place.max())) + 1
            windows.append(slice(begin, end))
            weights.append(interpolation(torch.from_numpy(place - begin), end - begin))
        part = weights[0] @ stored[:, windows[0], windows[1]].float() @ weights[1].mT
        return (part.mT if view.transposed else part).to(torch.float16).contiguous()


def checksum(maps: dict[str, Tensor]) -> str:
    """The SHA-256 of maps."""
    digest = hashlib.sha256()
    for name in sorted(maps):
        digest.update(maps[name].numpy().tobytes())
    return digest.hexdigest()


def places_in(pixels: np.ndarray, stride: float, step: int) -> np.ndarray:
    """Coordinates in a map of the whole image, along one axis, of the pixels of a crop's map.

    As in PyTorch's ``interpolate``, a pixel of a map of stride s is the middle of s pixels of the image.

    Args:
        pixels (np.ndarray): Rows or columns of the image that the crop shows, each the neighbor of the one before.
        stride (float): Stride of the whole image's map.
        step (int): Stride of the crop's map.

    Returns:
        np.ndarray: (ceil(len(pixels) / step), ), float64.
    """
    direction = 1 if pixels[-1] >= pixels[0] else -1
    middles = (np.arange(-(-len(pixels) // step)) + 0.5) * step - 0.5
    return (pixels[0] + direction * middles + 0.5) / stride - 0.5


def interpolation(places: Tensor, length: int) -> Tensor:
    """The matrix (n, length) that interpolates ``length`` values linearly, at ``places`` (n, ) from 0 to length - 1."""
    return (1 - (places[:, None] - torch.arange(length)).abs()).clamp(min=0).float()


def reduce(scores: Tensor, stride: int) -> Tensor:
    """The small map from which class scores (N, C, H, W) are bilinearly resized: (N, C, ceil(H / stride), ceil(W / stride)).

    Found by iterative back-projection (Irani and Peleg, 1991). Segmentation networks resize their scores from such a map, so
    nothing is lost; finer scores are smoothed.
    """
    size, full = [-(-side // stride) for side in scores.shape[-2:]], scores.shape[-2:]
    small = F.interpolate(scores, size, mode='bilinear')
    for _ in range(0 if stride == 1 else 5):
        small = small + F.interpolate(scores - F.interpolate(small, full, mode='bilinear'), size, mode='bilinear')
    return small


class PriorPipeline:
    """A training pipeline whose samples come with their priors, from a :class:`PriorCache`.

    Up to the first step that moves pixels, every step that changes the low-light image must give the same result each time: that
    whole image is the one whose prior is cached. From there on, steps may only move its pixels.

    Args:
        pipeline (Compose): The pipeline; it draws the same random numbers as before.
        cache (PriorCache): The cache.

    Raises:
        ValueError: If the prior of a crop would not be a part of the prior of a whole image; names the step.
    """

    def __init__(self, pipeline: Compose, cache: PriorCache):
        *self.steps, self.pack = pipeline.transforms
        self.cache = cache
        self.first = next((number for number, step in enumerate(self.steps) if type(step) in MOVING and _acts_on_img(step)),
                          len(self.steps))
        for number, step in enumerate(self.steps):
            known = FIXED if number < self.first else MOVING
            if _acts_on_img(step) and type(step) not in known:
                place = 'before' if number < self.first else 'after'
                raise ValueError(
                    f'{type(step).__name__}, step {number + 1} of the training pipeline, changes the low-light image in a way '
                    f'that its cached prior cannot follow: {place} the first crop or flip there may be only '
                    f'{", ".join(kind.__name__ for kind in known)}. Remove the step, or train without PriorCacheHook')
        if type(self.pack).__name__ != 'PackInputs':
            raise ValueError(f'The training pipeline ends with {type(self.pack).__name__}, but PriorCacheHook needs PackInputs '
                             'there')
        for number in range(self.first, len(self.steps)):
            if _acts_on_img(self.steps[number]):
                self.steps[number] = step = deepcopy(self.steps[number])
                step.keys = [*step.keys, POSITIONS]

    def __call__(self, results: dict) -> dict:
        """A training sample, whose ``data_samples`` contain the prior of ``inputs``."""
        for step in self.steps[:self.first]:
            results = step(results)
        key, size = self._identify(results)
        results[POSITIONS] = np.ascontiguousarray(np.indices(size, dtype=np.int32).transpose(1, 2, 0))
        for step in self.steps[self.first:]:
            results = step(results)
        prior = self.cache.read(key, View.of_positions(results.pop(POSITIONS), size))
        packed = self.pack(results)
        put_prior(packed['data_samples'], prior)
        return packed

    def whole(self, info: dict) -> tuple[str, tuple[int, int], dict]:
        """The whole image of a sample: its key in the cache, its height and width, and what a model takes."""
        results = dict(info)
        for step in self.steps[:self.first]:
            results = step(results)
        return *self._identify(results), self.pack(results)

    def _identify(self, results: dict) -> tuple[str, tuple[int, int]]:
        image = results['img']
        return self.cache.key(image, results.get('img_channel_order')), image.shape[:2]


def _acts_on_img(step: BaseTransform) -> bool:
    """Whether a step of a pipeline may change the low-light image: it names the images that it changes, or may change any."""
    return 'img' in getattr(step, 'keys', [getattr(step, 'key', 'img')])

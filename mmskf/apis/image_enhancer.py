from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmskf.export import is_exported
from mmskf.utils.image import to_8bit, to_uint8
from mmskf.utils.strength import blend, check_strength

from .config import find_config
from .model import check_device

Picture = TypeVar('Picture', Image.Image, np.ndarray, Tensor)


class ImageEnhancer:
    """Brightens single images in other libraries' pipelines: a callable that returns what it is given.

    The model is built when the first image comes, in the process that it comes to: workers of a data loader build their own.

    Args:
        model (str | Path | Config, optional): As for :class:`SKFInferencer`, or an ONNX file of ``mmskf export``. Defaults to
            None: the model that mmskf ships.
        weights (str, optional): As for :class:`SKFInferencer`. Defaults to None.
        device (str): Defaults to 'cpu': workers of a data loader cannot share a GPU.
        strength (float): From 0 (unchanged) to 1 (fully enhanced). Defaults to 1.

    Shape:
        (H, W, 3) array, RGB, uint8 or float in [0, 1]; (3, H, W) tensor, RGB, uint8 or float in [0, 1]; or a PIL image -> the
        same, in the same type (a PIL image in RGB)

    Examples:
        >>> enhance = ImageEnhancer()
        >>> torchvision.transforms.Compose([enhance, torchvision.transforms.ToTensor()])
        >>> albumentations.Lambda(image=lambda image, **kwargs: enhance(image), name='enhance')

    Raises:
        FileNotFoundError: If there is no such model, or no such file of weights.
        ValueError: If there is no such device, or the strength is out of range; with the first image, if the model has no
            weights.
    """

    def __init__(self, model: Any = None, weights: str | None = None, device: str = 'cpu', strength: float = 1.):
        # Found out here, before a data loader has started its workers.
        check_strength(strength)
        if is_exported(model):
            if weights is not None:
                raise ValueError(f'{model} is an exported model, which contains its weights: leave {weights} out')
        elif isinstance(model, (str, Path)):
            find_config(model)
        if device != 'cpu':
            check_device(device)
        for path in (weights, model if is_exported(model) else None):
            if path is not None and '://' not in str(path) and not Path(path).is_file():
                raise FileNotFoundError(f'There is no file {path}')
        self.model, self.weights, self.device, self.strength = model, weights, device, strength
        self._run: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, image: Picture) -> Picture:
        """Enhances an image.

        Raises:
            TypeError: If it is none of the three, or has values of another type.
            ValueError: If an array or a tensor has another shape, or values out of range.
        """
        if isinstance(image, Image.Image):
            if image.mode.startswith(('I', 'F')):
                raise TypeError(f'ImageEnhancer was given a PIL image of mode {image.mode}, expected one of 8 bits a channel, '
                                'such as RGB')
            return Image.fromarray(self._enhance(np.asarray(image.convert('RGB'))))
        if isinstance(image, Tensor):
            if image.ndim != 3 or image.shape[0] != 3:
                raise ValueError(f'ImageEnhancer was given a tensor {tuple(image.shape)}, expected (3, H, W)')
            array = image.detach().permute(1, 2, 0).cpu()
            result = self(array.numpy() if array.dtype == torch.uint8 else array.float().numpy())
            return torch.from_numpy(result).permute(2, 0, 1).to(image)
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3:
                raise ValueError(f'ImageEnhancer was given an array {image.shape}, expected (H, W, 3)')
            if image.dtype == np.uint8:
                return self._enhance(image)
            if image.dtype.kind == 'f':
                return (self._enhance(to_8bit(image, 'the image')) / 255).astype(image.dtype)
            raise TypeError(f'ImageEnhancer was given an array of {image.dtype}, expected uint8 or floats in [0, 1]')
        raise TypeError(f'ImageEnhancer was given a {type(image).__name__}: it takes PIL images, arrays and tensors')

    def _enhance(self, image: np.ndarray) -> np.ndarray:
        if self._run is None:
            self._run = self._exported() if is_exported(self.model) else self._inferencer()
        return self._run(image)

    def _exported(self) -> Callable[[np.ndarray], np.ndarray]:
        from mmskf.export.runtime import ExportedModel
        model = ExportedModel(self.model, self.device)
        return lambda image: to_uint8(blend(image, model(image), self.strength))

    def _inferencer(self) -> Callable[[np.ndarray], np.ndarray]:
        from .inferencer import SKFInferencer
        enhance = SKFInferencer(self.model, self.weights, self.device, show_progress=False, require_weights=True)
        return lambda image: enhance(image, strength=self.strength)['predictions'][0]

    def __getstate__(self) -> dict:
        return dict(vars(self), _run=None)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(model={self.model!r}, strength={self.strength})'

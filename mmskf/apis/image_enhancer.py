from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Picture = TypeVar('Picture', Image.Image, np.ndarray, Tensor)


class ImageEnhancer:
    """Brightens single images in other libraries' pipelines: a callable that returns what it is given.

    The model is built when the first image comes, in the process that it comes to: workers of a data loader build their own.

    Args:
        model (str | Path | Config, optional): As for :class:`SKFInferencer`. Defaults to None: the model that mmskf ships.
        weights (str, optional): As for :class:`SKFInferencer`. Defaults to None.
        device (str): Defaults to 'cpu': workers of a data loader cannot share a GPU.
        strength (float): From 0 (unchanged) to 1 (fully enhanced). Defaults to 1.

    Shape:
        (H, W, 3) uint8 array, RGB; (3, H, W) tensor, RGB, uint8 or float in [0, 1]; or a PIL image -> the same, in the same type

    Examples:
        >>> enhance = ImageEnhancer()
        >>> torchvision.transforms.Compose([enhance, torchvision.transforms.ToTensor()])
        >>> albumentations.Lambda(image=lambda image, **kwargs: enhance(image), name='enhance')
    """

    def __init__(self, model: Any = None, weights: str | None = None, device: str = 'cpu', strength: float = 1.):
        self.model, self.weights, self.device, self.strength = model, weights, device, strength
        self._inferencer: Any = None

    def __call__(self, image: Picture) -> Picture:
        """Enhances an image.

        Raises:
            TypeError: If it is none of the three.
            ValueError: If a tensor has another shape, or values that are neither uint8 nor floats in [0, 1].
        """
        if isinstance(image, Image.Image):
            return Image.fromarray(self._enhance(np.asarray(image.convert('RGB'))))
        if isinstance(image, Tensor):
            if image.ndim != 3 or image.shape[0] != 3:
                raise ValueError(f'ImageEnhancer was given a tensor {tuple(image.shape)}, expected (3, H, W)')
            pixels = image.float() if image.is_floating_point() else image  # numpy has no bfloat16
            result = torch.from_numpy(self._enhance(pixels.permute(1, 2, 0).cpu().numpy())).permute(2, 0, 1).to(image.device)
            return result if image.dtype == torch.uint8 else result.to(image.dtype) / 255
        if isinstance(image, np.ndarray):
            return self._enhance(image)
        raise TypeError(f'ImageEnhancer was given a {type(image).__name__}: it takes PIL images, uint8 arrays and tensors')

    def _enhance(self, image: np.ndarray) -> np.ndarray:
        if self._inferencer is None:
            from .inferencer import SKFInferencer
            self._inferencer = SKFInferencer(self.model, self.weights, self.device, show_progress=False)
        return self._inferencer(image, strength=self.strength)['predictions'][0]

    def __getstate__(self) -> dict:
        return dict(vars(self), _inferencer=None)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(model={self.model!r}, strength={self.strength})'

import itertools
import warnings
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

import mmcv
import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from rich.progress import track
from torch import nn

from mmskf.datasets import IMG_EXTENSIONS, without_ground_truth
from mmskf.utils.image import to_float_rgb, to_uint8

from .config import first_test_dataloader
from .model import init_model, load_weights

Image = Union[str, Path, np.ndarray]


class SKFInferencer:
    """Enhances photos: of any size, on any device, without ground truth.

    Args:
        model (str | Path | Config | nn.Module): Name of a model (see :func:`list_models`), config, or a model of
            :func:`init_model`.
        weights (str, optional): Path or URL of its checkpoint. Defaults to None: for a model that has its weights.
        device (str, optional): Defaults to None: a GPU where there is one, else the CPU.

    Examples:
        >>> enhance = SKFInferencer('drbn_lol', 'checkpoints/drbn.pth')
        >>> bright = enhance('dark.jpg')['predictions'][0]
        >>> enhance('folder_of_dark_photos', out_dir='bright')

    Raises:
        FileNotFoundError, ValueError: As :func:`init_model`.
    """

    def __init__(self,
                 model: Union[str, Path, Config, nn.Module],
                 weights: Optional[str] = None,
                 device: Optional[str] = None):
        device = device or get_device()
        if isinstance(model, nn.Module):
            self.model = model.to(device).eval()
            if weights is not None:
                load_weights(self.model, weights)
        else:
            if weights is None:
                warnings.warn(f'{model} was given no weights: what it makes of a photo is random. Give a checkpoint as `weights`')
            self.model = init_model(model, weights, device)
        with DefaultScope.overwrite_default_scope('mmskf'):
            self.pipeline = Compose(without_ground_truth(first_test_dataloader(self.model.cfg).dataset.pipeline))

    def __call__(self, inputs: Union[Image, Sequence[Image]], out_dir: Optional[str] = None) -> Dict[str, List[np.ndarray]]:
        """Enhances photos one by one.

        Args:
            inputs (str | Path | np.ndarray | Sequence): A file, a folder, an RGB array (H, W, 3), or several of them. Which
                kinds of files and arrays are taken, and how they become 8-bit RGB, says :class:`LoadImage`.
            out_dir (str, optional): Also writes each result there, as PNG under the input's name. Defaults to None.

        Returns:
            dict: ``predictions``: a list of uint8 RGB arrays (H, W, 3), in the order of the inputs.

        Raises:
            FileNotFoundError: Without such a file, or for a folder without images.
            OSError: If a file is damaged or no image.
        """
        samples = self._samples(inputs)
        predictions = []
        for sample in track(samples, 'Enhancing', disable=len(samples) < 2):
            image = self._enhance(dict(sample))
            predictions.append(image)
            if out_dir is not None:
                mmcv.imwrite(image[..., ::-1], str(Path(out_dir) / f'{sample["key"]}.png'))
        return dict(predictions=predictions)

    def _enhance(self, sample: dict) -> np.ndarray:
        data = pseudo_collate([self.pipeline(sample)])
        preprocessor = self.model.data_preprocessor
        expected = preprocessor.data_keys
        # mmagic's preprocessor warns of every sample without the ground truth that it is told to expect.
        preprocessor.data_keys = None
        try:
            with torch.inference_mode():
                result, = self.model.test_step(data)
        finally:
            preprocessor.data_keys = expected
        return to_uint8(to_float_rgb(result.output.pred_img))

    @staticmethod
    def find_files(paths: Union[str, Path, Sequence[Union[str, Path]]]) -> List[Path]:
        """Files, and the images in folders, sorted.

        Raises:
            FileNotFoundError: Without such a file, or for a folder without images.
        """
        files = []
        for path in map(Path, paths if isinstance(paths, (list, tuple)) else [paths]):
            if not path.exists():
                raise FileNotFoundError(f'There is no file or folder {path}')
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in IMG_EXTENSIONS) if path.is_dir() else [path]
            if not found:
                raise FileNotFoundError(f'The folder {path} holds no image ({", ".join(sorted(IMG_EXTENSIONS))})')
            files += found
        return files

    @classmethod
    def _samples(cls, inputs) -> List[dict]:
        samples = []
        for item in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            if isinstance(item, np.ndarray):
                samples.append(dict(img=item, key=f'{len(samples):04d}'))
            else:
                samples += [dict(img_path=str(file), key=file.stem) for file in cls.find_files(item)]
        # Photos of the same name from several folders must not overwrite each other's result.
        used = set()
        for sample in samples:
            names = itertools.chain([sample['key']], (f'{sample["key"]}_{number}' for number in itertools.count(2)))
            sample['key'] = next(name for name in names if name not in used)
            used.add(sample['key'])
        return samples

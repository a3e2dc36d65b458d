import logging
import warnings
from pathlib import Path
from typing import Any

import lpips
import numpy as np
import torch
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import DataLoader
from torchvision.models import AlexNet_Weights

from mmskf.registry import METRICS
from mmskf.weights import WeightsError, read_state_dict

from .image_metric import NOT_MEASURED, ImageMetric


def load_alexnet_lpips(backbone_weights: str | Path) -> lpips.LPIPS:
    """The ``lpips`` package's AlexNet model with a backbone from a file; nothing is downloaded.

    Args:
        backbone_weights (str or Path): A state dict of torchvision's AlexNet.

    Returns:
        lpips.LPIPS: In eval mode, without gradients.

    Raises:
        ValueError: If the file is damaged or not an AlexNet.
    """
    try:
        weights = read_state_dict(backbone_weights)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            # The package initializes its network randomly first, and training must not depend on whether LPIPS is
            # measured. The way it builds AlexNet makes torchvision warn.
            warnings.simplefilter('ignore', UserWarning)
            model = lpips.LPIPS(net='alex', pnet_rand=True, verbose=False)
        # It has torchvision's layers, with their indices, in five slices: 'slice2.3.weight' is 'features.3.weight'.
        model.net.load_state_dict({key: weights['features.' + key.split('.', 1)[1]] for key in model.net.state_dict()})
    except (KeyError, RuntimeError, WeightsError) as error:
        raise ValueError(f'LPIPS: {backbone_weights} is not a state dict of torchvision\'s AlexNet ({error}): delete it and '
                         'get it again, or name another file with backbone_weights=') from error
    return model.requires_grad_(False)


SMALLEST = 32  # pixels: smaller images do not survive AlexNet's poolings


@METRICS.register_module()
class LPIPS(ImageMetric):
    """Learned perceptual image patch similarity (Zhang et al., 2018): AlexNet, version 0.1; lower is better.

    Computed by the ``lpips`` package on RGB images rounded to uint8 and scaled to [-1, 1], on the device of the model.
    The package includes its linear layers; the AlexNet below them is read from a file and never downloaded. If the file is
    missing, one warning says so when the metric is built, the report says 'not measured', and the run continues.

    Args:
        backbone_weights (str or Path, optional): State dict of torchvision's AlexNet (ImageNet). Defaults to None: the file that
            torchvision itself keeps in its cache, ``torch.hub.get_dir()/checkpoints``.
        required (bool): Whether to raise an error instead of a warning if the file is missing. Defaults to False.
        **kwargs: See :class:`ImageMetric`.

    Raises:
        FileNotFoundError: If the file is missing and ``required`` is set.
        ValueError: If the file is damaged or not an AlexNet.
    """
    metric = 'LPIPS'

    def __init__(self, backbone_weights: str | Path | None = None, required: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        file_name = AlexNet_Weights.IMAGENET1K_V1.url.rsplit('/', 1)[-1]
        path = Path(backbone_weights or Path(torch.hub.get_dir(), 'checkpoints', file_name))
        self.model = None
        if path.is_file():
            self.model = load_alexnet_lpips(path)
            return
        message = (f'LPIPS needs the weights of AlexNet, but there is no file {path}. With access to the network, '
                   '`python -c "import torchvision; torchvision.models.alexnet(weights=\'IMAGENET1K_V1\')"` downloads '
                   f'{file_name} to torchvision\'s cache; for a copy elsewhere set backbone_weights=')
        if required:
            raise FileNotFoundError(message)
        print_log(f'LPIPS will be reported as "{NOT_MEASURED}": {message}', logger='current', level=logging.WARNING)

    def prepare(self, module: nn.Module, dataloader: DataLoader) -> None:
        super().prepare(module, dataloader)
        if self.model is not None:
            self.model.to(self.data_preprocessor.device)

    @torch.no_grad()
    def measure(self, pred: np.ndarray, gt: np.ndarray | None) -> float | None:
        if self.model is None or min(pred.shape[:2]) < SMALLEST:
            return None
        device = self.model.lin0.model[-1].weight.device
        images = (torch.from_numpy(image).to(device).permute(2, 0, 1)[None] / 127.5 - 1 for image in (pred, gt))
        return self.model(*images).item()

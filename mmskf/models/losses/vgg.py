from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, VGG19_Weights
from torchvision.models.vgg import cfgs, make_layers

from mmskf.weights import WeightsError, read_state_dict

CONFIGS = dict(vgg16='D', vgg19='E')  # torchvision's letters
WEIGHTS = dict(vgg16=VGG16_Weights.IMAGENET1K_V1, vgg19=VGG19_Weights.IMAGENET1K_V1)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layer_names(arch: str) -> dict[str, int]:
    """Name of a convolution, such as 'conv3_4' -> its index in torchvision's ``features``."""
    names, block, number, index = {}, 1, 0, 0
    for entry in cfgs[CONFIGS[arch]]:
        if entry == 'M':
            block, number, index = block + 1, 0, index + 1
        else:
            number += 1
            names[f'conv{block}_{number}'] = index
            index += 2  # a ReLU follows
    return names


class VGGFeatures(nn.Module):
    """Features of torchvision's VGG before the activation, for perceptual losses; frozen, and never downloaded.

    The weights are read when first needed. They are not in the state dict of the owner, nor in its optimizer.

    Args:
        arch (str): 'vgg16' or 'vgg19'.
        layers (Sequence[str]): The convolutions whose outputs are returned, such as 'conv3_4'.
        weights (str or Path, optional): State dict of torchvision's network (ImageNet). Defaults to None: the file that
            torchvision itself keeps in its cache, ``torch.hub.get_dir()/checkpoints``.

    Attributes:
        path (Path): The file of the weights, which need not exist before they are needed.
        advice (str): How to get that file.

    Shape:
        RGB in [0, 1], (N, 3, H, W) -> one map for each layer

    Raises:
        FileNotFoundError: When first used, if there is no such file.
        ValueError: If ``arch`` or a layer is unknown; when first used, if the weights are not those of ``arch``.
    """

    def __init__(self, arch: str, layers: Sequence[str], weights: str | Path | None = None):
        super().__init__()
        if arch not in CONFIGS:
            raise ValueError(f'arch={arch!r}: choose from {", ".join(CONFIGS)}')
        indices = layer_names(arch)
        unknown = [layer for layer in layers if layer not in indices]
        if unknown:
            raise ValueError(f'{arch} has no layer {unknown[0]}: choose from {", ".join(indices)}')
        file_name = WEIGHTS[arch].url.rsplit('/', 1)[-1]
        self.arch = arch
        self.path = Path(weights or Path(torch.hub.get_dir(), 'checkpoints', file_name))
        self.advice = (f'With access to the network, `python -c "import torchvision; torchvision.models.{arch}(weights='
                       f"'IMAGENET1K_V1')\"` downloads {file_name} to torchvision's cache")
        self.indices = [indices[layer] for layer in layers]
        # Inside a tuple it is not a submodule.
        self._loaded: tuple[nn.Sequential, ...] = ()

    def load(self) -> nn.Sequential:
        """The network up to the last layer that is needed."""
        with torch.device('meta'):
            network = make_layers(cfgs[CONFIGS[self.arch]])[:max(self.indices) + 1]
        try:
            weights = read_state_dict(self.path)
            network.load_state_dict({key: weights[f'features.{key}'] for key in network.state_dict()}, assign=True)
        except (KeyError, RuntimeError, WeightsError) as error:
            raise ValueError(f"{self.path} is not a state dict of torchvision's {self.arch} ({error}): name another file, or "
                             'get it again') from error
        for layer in network:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # The features before it are returned.
        return network.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        if not self._loaded:
            self._loaded = (self.load(), )
        x = (image - image.new_tensor(MEAN).view(3, 1, 1)) / image.new_tensor(STD).view(3, 1, 1)
        features = []
        for index, layer in enumerate(self._loaded[0].to(image)):
            x = layer(x)
            if index in self.indices:
                features.append(x)
        return features

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, VGG19_Weights
from torchvision.models.vgg import cfgs, make_layers

from mmskf.utils.image import swap_rgb
from mmskf.weights import WeightsError, read_state_dict

CONFIGS = dict(vgg16='D', vgg19='E')  # torchvision's letters
WEIGHTS = dict(vgg16=VGG16_Weights.IMAGENET1K_V1, vgg19=VGG19_Weights.IMAGENET1K_V1)
FORMS = ('torchvision', 'authors')
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layer_names(arch: str) -> dict[str, int]:
    """Name of a layer, such as 'conv3_4', 'relu3_4' or 'pool3' -> its index in torchvision's ``features``."""
    names, block, number, index = {}, 1, 0, 0
    for entry in cfgs[CONFIGS[arch]]:
        if entry == 'M':
            names[f'pool{block}'] = index
            block, number, index = block + 1, 0, index + 1
        else:
            number += 1
            names[f'conv{block}_{number}'], names[f'relu{block}_{number}'] = index, index + 1
            index += 2
    return names


class VGGFeatures(nn.Module):
    """Features of torchvision's VGG, for perceptual losses; frozen, and never downloaded.

    The weights are read when first needed. They are not in the state dict of the owner, nor in its optimizer.

    Args:
        arch (str): 'vgg16' or 'vgg19'.
        layers (Sequence[str]): The layers whose outputs are returned, such as 'conv3_4' or 'relu5_1'.
        weights (str or Path, optional): State dict of torchvision's network (ImageNet). Defaults to None: the file that
            torchvision itself keeps in its cache, ``torch.hub.get_dir()/checkpoints``.
        form (str): 'torchvision', or 'authors' for weights named by layer ('conv1_1.weight'), whose images are BGR in 0..255,
            as the authors of VGG and of EnlightenGAN have them. Defaults to 'torchvision'.
        omit (Sequence[str]): Layers that are left out, such as 'pool4'. Defaults to none.

    Attributes:
        path (Path): The file of the weights, which need not exist before they are needed.
        advice (str): How to get that file.

    Shape:
        RGB in [0, 1], (N, 3, H, W) -> one map for each layer

    Raises:
        FileNotFoundError: When first used, if there is no such file.
        ValueError: If ``arch``, ``form`` or a layer is unknown; when first used, if the weights are not those of ``arch``.
    """

    def __init__(self, arch: str, layers: Sequence[str], weights: str | Path | None = None, form: str = 'torchvision',
                 omit: Sequence[str] = ()):
        super().__init__()
        for name, value, choices in (('arch', arch, CONFIGS), ('form', form, FORMS)):
            if value not in choices:
                raise ValueError(f'{name}={value!r}: choose from {", ".join(choices)}')
        indices = layer_names(arch)
        unknown = [layer for layer in [*layers, *omit] if layer not in indices]
        if unknown:
            raise ValueError(f'{arch} has no layer {unknown[0]}: choose from {", ".join(indices)}')
        file_name = WEIGHTS[arch].url.rsplit('/', 1)[-1]
        self.arch, self.form = arch, form
        self.given = weights is not None
        self.path = Path(weights or Path(torch.hub.get_dir(), 'checkpoints', file_name))
        self.advice = (f'With access to the network, `python -c "import torchvision; torchvision.models.{arch}(weights='
                       f"'IMAGENET1K_V1')\"` downloads {file_name} to torchvision's cache")
        self.indices = [indices[layer] for layer in layers]
        self.omitted = [indices[layer] for layer in omit]
        # Inside a tuple it is not a submodule.
        self._loaded: tuple[nn.Sequential, ...] = ()

    def available(self) -> bool:
        """Whether the weights are there.

        Raises:
            FileNotFoundError: If they are not, but a file was named: what was asked for must not be left out.
        """
        if self.given and not self.path.is_file():
            raise FileNotFoundError(f'There is no file {self.path}, named for the weights of {self.arch}. {self.advice}')
        return self.path.is_file()

    def load(self) -> nn.Sequential:
        """The network up to the last layer that is needed."""
        with torch.device('meta'):
            network = make_layers(cfgs[CONFIGS[self.arch]])[:max(self.indices) + 1]
        try:
            weights = read_state_dict(self.path)
            names = {index: f'features.{index}' for index in layer_names(self.arch).values()}
            if self.form == 'authors':
                names = {index: name for name, index in layer_names(self.arch).items()}
            found = {}
            for key in network.state_dict():
                index, kind = key.split('.')
                found[key] = weights[f'{names[int(index)]}.{kind}']
            network.load_state_dict(found, assign=True)
        except (KeyError, RuntimeError, WeightsError) as error:
            raise ValueError(f'{self.path} is not a state dict of {self.arch} of form={self.form!r} ({error}): name another '
                             'file, or get it again') from error
        for index, layer in enumerate(network):
            if index in self.omitted:
                network[index] = nn.Identity()
            elif isinstance(layer, nn.ReLU):
                layer.inplace = False  # The features before it may be returned.
        return network.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        if not self._loaded:
            self._loaded = (self.load(), )
        if self.form == 'authors':
            x = 255 * swap_rgb(image)
        else:
            x = (image - image.new_tensor(MEAN).view(3, 1, 1)) / image.new_tensor(STD).view(3, 1, 1)
        features = []
        for index, layer in enumerate(self._loaded[0].to(image)):
            x = layer(x)
            if index in self.indices:
                features.append(x)
        return features

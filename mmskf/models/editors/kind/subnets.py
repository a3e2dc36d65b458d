"""Subnets that KinD and KinD++ share, and their layers.

``form`` is 'tf', the authors' TensorFlow code, or 'port', fenghansen's PyTorch code. They differ in the slope of LeakyReLU, in
what follows a transposed convolution, in the order of skip connections, and in the heads.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPES = dict(tf=0.2, port=0.01)


def conv(inputs: int, outputs: int, form: str) -> nn.Sequential:
    """A 3x3 convolution and LeakyReLU: (N, inputs, H, W) -> (N, outputs, H, W)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(SLOPES[form]))


def downsample(x: Tensor) -> Tensor:
    """2x2 max-pooling that keeps the last row and column of an odd size, like TensorFlow's SAME padding."""
    return F.max_pool2d(x, 2, ceil_mode=True)


class UpConcat(nn.Module):
    """A transposed convolution, cropped to the size of a skip connection and concatenated with it.

    Shape:
        x (N, inputs, ceil(H / 2), ceil(W / 2)), skip (N, outputs, H, W) -> (N, 2 * outputs, H, W)
    """

    def __init__(self, inputs: int, outputs: int, form: str):
        super().__init__()
        self.port = form == 'port'
        self.conv = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=self.port)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.conv(x)[..., :skip.shape[-2], :skip.shape[-1]]
        return torch.cat([skip, F.leaky_relu(x, SLOPES['port'])] if self.port else [x, skip], dim=1)


class DecompositionNet(nn.Module):
    """Decomposes an image into reflectance and illumination.

    Args:
        form (str): 'tf' or 'port'.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W), (N, 1, H, W), both in (0, 1)
    """

    def __init__(self, form: str = 'tf'):
        super().__init__()
        self.port = form == 'port'
        self.down1, self.down2, self.down3 = conv(3, 32, form), conv(32, 64, form), conv(64, 128, form)
        self.up2, self.conv2 = UpConcat(128, 64, form), conv(128, 64, form)
        self.up1, self.conv1 = UpConcat(64, 32, form), conv(64, 32, form)
        self.illumination = conv(32, 32, form)
        kernel = 3 if self.port else 1
        self.reflectance_head = nn.Conv2d(32, 3, kernel, padding=kernel // 2)
        self.illumination_head = nn.Conv2d(64, 1, kernel, padding=kernel // 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.down1(image)
        middle = self.down2(downsample(fine))
        coarse = self.down3(downsample(middle))
        x = self.conv1(self.up1(self.conv2(self.up2(coarse, middle)), fine))
        light = self.illumination(fine)
        both = torch.cat([x, light] if self.port else [light, x], dim=1)
        return self.reflectance_head(x).sigmoid(), self.illumination_head(both).sigmoid()


class AdjustmentNet(nn.Module):
    """Adjusts an illumination map to a target exposure.

    Args:
        form (str): 'tf' or 'port'.

    Shape:
        illumination (N, 1, H, W), ratio (N, ) of the target to the current brightness -> (N, 1, H, W) in (0, 1)
    """

    def __init__(self, form: str = 'tf'):
        super().__init__()
        head = nn.Conv2d(32, 1, 3, padding=1) if form == 'port' else conv(32, 1, form)
        self.layers = nn.Sequential(conv(2, 32, form), conv(32, 32, form), conv(32, 32, form), head)

    def forward(self, illumination: Tensor, ratio: Tensor) -> Tensor:
        ratio = ratio.view(-1, 1, 1, 1).expand_as(illumination)
        return self.layers(torch.cat([illumination, ratio], dim=1)).sigmoid()

"""The HVI color space of HVI-CIDNet (Yan et al., CVPR 2025, section 3): a hue plane that shrinks in the dark, and intensity."""
import math

import torch
from torch import Tensor

EPS = 1e-8


def color_density(intensity: Tensor, density: Tensor) -> Tensor:
    """The radius of the hue plane at an intensity, C_k: (...) in [0, 1] and k (1, ) -> (...)."""
    return ((math.pi / 2 * intensity).sin() + EPS)**density


def rgb_to_hvi(image: Tensor, density: Tensor) -> Tensor:
    """Converts RGB to HVI.

    Args:
        image (Tensor): (N, 3, H, W) in [0, 1].
        density (Tensor): The learned parameter k, (1, ).

    Returns:
        Tensor: Horizontal and vertical position in the hue plane, in [-1, 1], and intensity, in [0, 1]: (N, 3, H, W).
    """
    red, green, blue = image.unbind(dim=1)
    high, low = image.amax(dim=1), image.amin(dim=1)
    span = high - low + EPS
    hue = torch.where(green == high, 2 + (blue - red) / span, 4 + (red - green) / span)
    hue = torch.where(red == high, (green - blue) / span % 6, hue)
    angle = math.pi / 3 * torch.where(high == low, 0, hue)
    radius = color_density(high, density) * torch.where(high == 0, 0, (high - low) / (high + EPS))
    return torch.stack([radius * angle.cos(), radius * angle.sin(), high], dim=1)


def hvi_to_rgb(hvi: Tensor, density: Tensor, saturation: float = 1.) -> Tensor:
    """Converts HVI to RGB.

    Args:
        hvi (Tensor): (N, 3, H, W), any values.
        density (Tensor): The parameter k of :func:`rgb_to_hvi`, (1, ), which gets no gradient from here.
        saturation (float): Factor of the saturation, which is clipped to [0, 1]. Defaults to 1.

    Returns:
        Tensor: (N, 3, H, W) in [0, 1]. Gray does not come back exactly: no color is less saturated than 1e-4.
    """
    intensity = hvi[:, 2:].clamp(0, 1)
    plane = (hvi[:, :2].clamp(-1, 1) / (color_density(intensity, density.detach()) + EPS)).clamp(-1, 1)
    horizontal, vertical = plane.split(1, dim=1)
    hue = torch.atan2(vertical + EPS, horizontal + EPS) / (2 * math.pi) % 1
    saturation_map = (saturation * (horizontal**2 + vertical**2 + EPS).sqrt()).clamp(0, 1)
    sector = (6 * hue + hue.new_tensor([5., 3., 1.]).view(3, 1, 1)) % 6
    return intensity * (1 - saturation_map * torch.minimum(sector, 4 - sector).clamp(0, 1))

"""How bright KinD makes its result, and how it fuses the result."""
import torch.nn.functional as F
from torch import Tensor

EPS = 1e-4


def mean(x: Tensor) -> Tensor:
    """The mean of each sample: (N, ...) -> (N, )."""
    return x.flatten(1).mean(dim=1)


def exposure_ratio(target: Tensor, current: Tensor) -> Tensor:
    """How much brighter one map is than another, on average: two (N, C, H, W) -> (N, )."""
    return mean(target / (current + EPS))


def auto_ratio(illumination: Tensor) -> Tensor:
    """The exposure ratio for an image without ground truth, as in the PyTorch port: (N, 1, H, W) -> (N, )."""
    brightness = mean(illumination)
    return (0.6 + 0.5 * brightness) / brightness


def fuse_own_photo(image: Tensor, reflectance: Tensor, illumination: Tensor, enhanced: Tensor) -> Tensor:
    """The authors' fusion for real-world photos: bright areas are kept, dark areas stay slightly darker.

    Args:
        image (Tensor): The low-light image (N, 3, H, W).
        reflectance (Tensor): Its reflectance (N, 3, H, W), straight from the decomposition.
        illumination (Tensor): Its illumination (N, 1, H, W).
        enhanced (Tensor): The enhanced image (N, 3, H, W).

    Returns:
        Tensor: (N, 3, H, W).
    """
    from torchvision.transforms.functional import gaussian_blur  # whose import takes a second
    gray = (reflectance * reflectance.new_tensor([0.2125, 0.7154, 0.0721]).view(3, 1, 1)).sum(dim=1, keepdim=True)
    # The authors blur with scikit-image: truncated at 4 sigma, with replicated borders.
    radius = 12
    smooth = gaussian_blur(F.pad(gray, [radius] * 4, 'replicate'), 2 * radius + 1, 3.)[..., radius:-radius, radius:-radius]
    return illumination * image + (1 - illumination) * enhanced * (2 * smooth).sqrt().clamp(max=1)

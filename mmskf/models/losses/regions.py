import torch
import torch.nn.functional as F
from torch import Tensor


def inside_regions(labels: Tensor, edge_width: int) -> Tensor:
    """Tells the pixels inside a region from those near its boundary: the step from P to P' (SKF, Eq. 6).

    Args:
        labels (Tensor): Class of every pixel, (N, H, W), integers below 2**24.
        edge_width (int): A pixel is dropped when the window of (2 * edge_width + 1)**2 pixels around it holds another label.
            The border of the image is no boundary. 0 keeps all pixels.

    Returns:
        Tensor: True inside, (N, H, W), bool.

    Raises:
        ValueError: If ``edge_width`` is negative.
    """
    if edge_width < 0:
        raise ValueError(f'edge_width is {edge_width}, expected 0 (keep the boundaries) or more')
    # float32 holds every label exactly, and pooling of integers exists on the CPU only
    labels = labels.to(torch.float32)
    highest, lowest = F.max_pool2d(torch.stack((labels, -labels), dim=1), 2 * edge_width + 1, 1, edge_width).unbind(dim=1)
    return (highest == labels) & (-lowest == labels)

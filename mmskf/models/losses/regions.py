import torch
import torch.nn.functional as F
from torch import Tensor


def inside_regions(labels: Tensor, edge_width: int) -> Tensor:
    """Masks the pixels inside a region, away from its boundary: the step from P to P' (SKF, Eq. 6).

    Args:
        labels (Tensor): Label map, (N, H, W), integers below 2**24.
        edge_width (int): A pixel is dropped if the window of (2 * edge_width + 1)**2 pixels around it contains another label.
            The image border does not count as a boundary. 0 keeps all pixels.

    Returns:
        Tensor: True inside a region, (N, H, W), bool.

    Raises:
        ValueError: If ``edge_width`` is negative.
    """
    if edge_width < 0:
        raise ValueError(f'edge_width is {edge_width}, expected 0 (keep the boundaries) or more')
    # float32 represents every label exactly, and only the CPU can max-pool integers.
    labels = labels.to(torch.float32)
    highest, lowest = F.max_pool2d(torch.stack((labels, -labels), dim=1), 2 * edge_width + 1, 1, edge_width).unbind(dim=1)
    return (highest == labels) & (-lowest == labels)

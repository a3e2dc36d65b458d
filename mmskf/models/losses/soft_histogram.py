"""Soft histograms of all classes and channels in one pass over the pixels (SKF, Eq. 7 to 9).

A pixel at position u (in bins) adds K(u - i) to bin i, where K is a difference of two sigmoids. Evaluating K for every pixel
and bin costs 256 pairs of sigmoids per pixel. Instead, the axis is divided into cells at most one bin wide. Inside a cell, at
offset t from its center, K(u - i) is to float32 precision a polynomial of t, sum_m p[m, i] t^m, and zero more than a few bins
away. So the bins only need the sums of t^m over the pixels of a cell (its moments): one scatter-add per moment, then one
small banded matrix product from cells to bins. The backward pass takes the same way in reverse: the gradient of the bins
gives one polynomial per cell, which is evaluated at each of its pixels.
"""
import math
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Result = TypeVar('Result')

NUM_BINS = 256

# Bins per unit of intensity. 'paper': edges (i -+ 0.5) / 255; 'official': edges i / 256.
BINS = {'paper': 255, 'official': 256}

# Bounds the kernel mass that a pixel may lose, and the error of the polynomials. For float32 this is the rounding error of a
# difference of two sigmoids; for float64, the least that the rounding of the coefficients allows at any alpha.
TOLERANCE = {torch.float32: 1.2e-7, torch.float64: 1e-12}

# Bins that one row of the banded product covers; affects only its speed.
BLOCK = 32

# The maximum cell width, in lengths of the sigmoid (1 / alpha). Narrower cells need a lower degree (fewer passes over the
# pixels), wider ones are fewer (smaller sums). At alpha = 400 this gives two cells per bin with degree 6.
MAX_WIDTH = 0.8


class Kernel(NamedTuple):
    """The polynomials of K as banded matrices.

    Args:
        reach (int): Bins on either side to which a pixel contributes.
        cells_per_bin (int): Cells that a bin is divided into.
        spread (Tensor): (degree + 1, (BLOCK + 2 reach) cells_per_bin, BLOCK): moments of a window of cells -> bins.
        slopes (Tensor): (degree + 1, BLOCK + 2 reach, BLOCK cells_per_bin): gradient of a window of bins -> coefficients
            of dK/du in the cells.
    """
    reach: int
    cells_per_bin: int
    spread: Tensor
    slopes: Tensor

    @property
    def num_cells(self) -> int:
        """Cells of the bins, of the reach around them and of one more bin on either side, in whole blocks."""
        return math.ceil((NUM_BINS + 2 * self.reach + 2) / BLOCK) * BLOCK * self.cells_per_bin


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))


def _fit(function: Callable[[np.ndarray], np.ndarray], degree: int, reach: int,
         cells_per_bin: int) -> tuple[np.ndarray, float]:
    """Interpolates function(u - i) at the Chebyshev nodes of each cell of bin 0, for the bins i within reach.

    Returns:
        tuple: Coefficients (degree + 1, cells_per_bin, 2 reach + 1) of the powers of the offset, in cells and within +-0.5,
        and the maximum error.
    """
    centers = (np.arange(cells_per_bin) + 0.5) / cells_per_bin - 0.5
    distances = centers[:, None] - np.arange(-reach, reach + 1)

    def sample(offsets: np.ndarray) -> np.ndarray:
        return function(offsets[:, None, None] / cells_per_bin + distances)

    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)) / 2
    values = sample(nodes)
    coefficients = np.linalg.solve(np.vander(nodes, increasing=True), values.reshape(degree + 1, -1))
    offsets = np.linspace(-0.5, 0.5, 201)
    fitted = np.vander(offsets, degree + 1, increasing=True) @ coefficients
    return coefficients.reshape(values.shape), np.abs(fitted.reshape(-1, *values.shape[1:]) - sample(offsets)).max()


@lru_cache(maxsize=16)
def build_kernel(slope: float, tolerance: float, dtype: torch.dtype, device: torch.device) -> Kernel:
    """Chooses reach, cells and degree so that the lost mass and the errors of K and K' / slope are below the tolerance.

    Args:
        slope (float): The sigmoid's alpha per bin.
        tolerance (float): See above.
        dtype (torch.dtype): Data type of the matrices.
        device (torch.device): Their device.
    """
    # Beyond the reach a pixel has at most 2 exp(-slope * reach) of its mass.
    reach = math.ceil(math.log(2 / tolerance) / slope)
    cells_per_bin = 2**max(0, math.ceil(math.log2(slope / MAX_WIDTH)))

    def kernel(u: np.ndarray) -> np.ndarray:
        return _sigmoid(slope * (u + 0.5)) - _sigmoid(slope * (u - 0.5))

    def derivative(u: np.ndarray) -> np.ndarray:
        upper, lower = _sigmoid(slope * (u + 0.5)), _sigmoid(slope * (u - 0.5))
        return slope * (upper * (1 - upper) - lower * (1 - lower))

    degree, error = 0, math.inf
    while error > tolerance:
        degree += 1
        values, error_of_values = _fit(kernel, degree, reach, cells_per_bin)
        slopes, error_of_slopes = _fit(derivative, degree, reach, cells_per_bin)
        error = max(error_of_values, error_of_slopes / slope)

    window = BLOCK + 2 * reach
    spread = np.zeros((degree + 1, window, cells_per_bin, BLOCK))
    gather = np.zeros((degree + 1, window, BLOCK, cells_per_bin))
    for position in range(BLOCK):
        # A window starts reach bins before its block. The bin at `position` sees the cells of its window from the farthest
        # below to the farthest above; they see it above them first, hence the reversal.
        near = slice(position, position + 2 * reach + 1)
        spread[:, near, :, position] = values.transpose(0, 2, 1)[:, ::-1]
        gather[:, near, position] = slopes.transpose(0, 2, 1)
    matrices = (spread.reshape(degree + 1, window * cells_per_bin, BLOCK), gather.reshape(degree + 1, window, -1))
    return Kernel(reach, cells_per_bin, *(torch.from_numpy(matrix).to(device, dtype) for matrix in matrices))


class Regions(NamedTuple):
    """The classes present in each image, numbered per image, so that absent ones cost nothing.

    Args:
        present (Tensor): (N, num_classes) bool: which classes are present.
        used (Tensor): (N, K) bool: which numbers refer to a class; K is the maximum number of classes in an image.
        number (Tensor): (N, H, W) int64: number of each pixel's class; K for ignored pixels.
    """
    present: Tensor
    used: Tensor
    number: Tensor


def find_regions(labels: Tensor, num_classes: int) -> Regions:
    """Numbers the classes of a label map.

    Args:
        labels (Tensor): (N, H, W), integers; those outside 0..num_classes-1 are ignored.
        num_classes (int): Number of classes.

    Raises:
        ValueError: If the labels are not integers.
    """
    if labels.is_floating_point():
        raise ValueError(f'The labels of the histogram are {labels.dtype}, expected integers: '
                         'take the argmax of the class scores')
    flat = labels.flatten(1).long()
    flat = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    present = flat.new_zeros((len(flat), num_classes + 1), dtype=torch.bool).scatter_(1, flat, True)[:, :num_classes]
    counts = present.sum(1, keepdim=True)
    largest = int(counts.max())
    numbers = F.pad(present.cumsum(1) - 1, (0, 1), value=largest)
    used = torch.arange(largest, device=labels.device) < counts
    return Regions(present, used, numbers.gather(1, flat).view(labels.shape))


def _locate(x: Tensor, number: Tensor, kernel: Kernel, bins_per_unit: int) -> tuple[Tensor, Tensor]:
    """Finds each pixel's cell, counted over the regions of an image, and its offset from the cell's center.

    Returns:
        tuple: Indices int64 and offsets within +-0.5, both (N, channels, H W).
    """
    per_bin, reach = kernel.cells_per_bin, kernel.reach
    # Values beyond the reach go to the outermost bins, which no histogram reads.
    x = x.flatten(2).clamp((-reach - 1) / bins_per_unit, (NUM_BINS + reach) / bins_per_unit)
    # In float32, 255 x - cell would lose the digits below the cell; 256 x is exact, and so is its difference from the cell.
    scaled = x * (256 * per_bin)
    shift = x * per_bin - 0.5 * per_bin if bins_per_unit == 255 else torch.zeros((), dtype=x.dtype, device=x.device)
    cell = (scaled - shift).floor_()
    offset = (scaled - cell).sub_(shift + 0.5)
    # A NaN has no cell: it is counted in bin 0, where its offset makes the histogram NaN.
    index = cell.nan_to_num_(nan=0.).long().add_((reach + 1) * per_bin)
    return index.add_(number.flatten(1).unsqueeze(1) * kernel.num_cells), offset


def _kernel_for(x: Tensor, bins_per_unit: int, alpha: float) -> Kernel:
    # float32 is three times as fast on a CPU. A GPU may round float32 products to TF32, and is fast enough for float64.
    dtype = x.dtype if x.device.type == 'cpu' else torch.float64
    return build_kernel(alpha / bins_per_unit, TOLERANCE[x.dtype], dtype, x.device)


def _without_autocast(function: Callable[..., Result]) -> Callable[..., Result]:
    """``torch.amp.custom_fwd`` for any device: the decorated method computes in the data type of its first tensor."""

    @wraps(function)
    def wrapper(ctx: Any, tensor: Tensor, *args: Any) -> Result:
        with torch.autocast(tensor.device.type, enabled=False):
            return function(ctx, tensor, *args)

    return wrapper


class _SoftHistogram(torch.autograd.Function):
    """Saves only its inputs for the backward pass, which recomputes cells and offsets.

    The moments are in float64: summing 25,600 equal pixels in float32 would lose four digits.
    """

    @staticmethod
    @_without_autocast
    def forward(ctx: Any, x: Tensor, present: Tensor, used: Tensor, number: Tensor, bins_per_unit: int, alpha: float) -> Tensor:
        ctx.save_for_backward(x, present, used, number)
        ctx.options = bins_per_unit, alpha
        kernel = _kernel_for(x, bins_per_unit, alpha)
        index, offset = _locate(x, number, kernel, bins_per_unit)
        num_images, num_regions, channels = *used.shape, x.size(1)

        window, step = kernel.spread.size(1), BLOCK * kernel.cells_per_bin
        moments = x.new_zeros((num_images, channels, num_regions + 1, kernel.num_cells), dtype=torch.float64)
        histogram = kernel.spread.new_zeros((num_images * channels * num_regions * NUM_BINS // BLOCK, BLOCK))
        offset = offset.double()
        power = torch.ones_like(offset)
        for degree, spread in enumerate(kernel.spread):
            if degree > 0:
                moments.zero_()
                power *= offset
            moments.flatten(2).scatter_add_(2, index, power)
            used_moments = moments[:, :, :num_regions, kernel.cells_per_bin:].to(spread.dtype)
            histogram.addmm_(used_moments.unfold(3, window, step).reshape(-1, window), spread)

        result = x.new_zeros((*present.shape, channels, NUM_BINS))
        histogram = histogram.view(num_images, channels, num_regions, NUM_BINS).transpose(1, 2)
        result[present] = histogram[used].to(x.dtype)
        return result

    @staticmethod
    @once_differentiable
    @_without_autocast
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]  # decorators hide its names
        x, present, used, number = ctx.saved_tensors
        bins_per_unit, alpha = ctx.options
        kernel = _kernel_for(x, bins_per_unit, alpha)
        index, offset = _locate(x, number, kernel, bins_per_unit)
        (num_images, num_regions), channels = used.shape, x.size(1)

        window, num_bins = kernel.slopes.size(1), kernel.num_cells // kernel.cells_per_bin
        margin = 2 * kernel.reach + 1
        padded = kernel.slopes.new_zeros((num_images, num_regions + 1, channels, num_bins + 2 * kernel.reach))
        padded[:, :num_regions, :, margin:margin + NUM_BINS][used] = grad[present].to(padded.dtype)
        windows = padded.transpose(1, 2).unfold(3, window, BLOCK).reshape(-1, window)
        grad_x = torch.zeros_like(offset)
        for slopes in kernel.slopes.flip(0):
            coefficients = (windows @ slopes).to(x.dtype).view(num_images, channels, -1)
            grad_x.mul_(offset).add_(coefficients.gather(2, index))
        return grad_x.mul_(bins_per_unit).view_as(x), None, None, None, None, None


def region_histogram(x: Tensor, regions: Regions, bins: str, alpha: float) -> Tensor:
    """:func:`soft_histogram` for labels whose regions are already known."""
    if bins not in BINS:
        raise ValueError(f'bins of the histogram is {bins!r}; choose one of {list(BINS)}')
    if not 0 < alpha < math.inf:
        raise ValueError(f'alpha of the histogram is {alpha}; it must be positive (the paper uses 400)')
    number = regions.number
    if x.ndim != 4 or number.shape != (len(x), *x.shape[2:]):
        raise ValueError(f'The histogram was given an image of shape {tuple(x.shape)} and labels of shape '
                         f'{tuple(number.shape)}; expected (N, channels, H, W) and (N, H, W): '
                         'resize the labels to the image')
    if x.dtype not in TOLERANCE:
        x = x.float()
    return _SoftHistogram.apply(x, *regions, BINS[bins], float(alpha))


def soft_histogram(x: Tensor, labels: Tensor, num_classes: int, bins: str = 'paper', alpha: float = 400.) -> Tensor:
    r"""Differentiable color histogram of each class region (SKF, section 3.3, Eq. 7 to 9).

    .. math::
        H_i^c = \sum_{j \in c} \sigma(\alpha (x_j - e_i)) - \sigma(\alpha (x_j - e_{i+1})), \quad i = 0..255

    with the edges :math:`e_i = (i - 0.5) / 255` ('paper') or :math:`i / 256` ('official', the released code). At
    alpha = 400 a pixel adds at most 0.37 to one bin, 1 to all bins together, and 0.5 at the ends of the range; values
    outside the range count as far as their kernel extends into it.

    All classes and channels are computed in one pass, exact to float32 rounding (float64 inputs: to 1e-12), with memory
    proportional to the number of pixels.

    Args:
        x (Tensor): Images, (N, channels, H, W), intensities in [0, 1]; half precision is computed in float32.
        labels (Tensor): Label map, (N, H, W), integers; pixels with labels outside 0..num_classes-1 are ignored.
        num_classes (int): Number of classes.
        bins (str): 'paper' or 'official'. Defaults to 'paper'.
        alpha (float): Steepness of the sigmoids per unit of intensity. Defaults to 400.

    Returns:
        Tensor: (N, num_classes, channels, 256), zero for absent classes; differentiable (once) with respect to ``x``.

    Raises:
        ValueError: If ``bins`` is unknown, ``alpha`` is not positive, labels are not integers, or sizes do not match.
    """
    return region_histogram(x, find_regions(labels, num_classes), bins, alpha)

"""Soft histograms of all classes and channels in one pass over the pixels (SKF, Eq. 7 to 9).

A pixel at position u (in bins) adds K(u - i) to bin i, K being a difference of two sigmoids. Evaluating K for every pixel
and bin costs 256 pairs of sigmoids a pixel. Here the axis is cut into cells of at most a bin's width. Inside a cell, at
offset t from its centre, K(u - i) is a polynomial of t to within the rounding of the input, and zero beyond some bins'
distance: K(u - i) = sum_m p[m, i] t^m. So the sums of t^m over the pixels of a cell (its moments) are all that the bins need:
one scattered addition a moment, then one small banded matrix product from cells to bins. The gradient is the same
backwards: the incoming gradient of the bins gives one polynomial a cell, which is evaluated at every pixel of it.
"""
import math
from functools import lru_cache
from typing import NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NUM_BINS = 256

# Bins per unit of intensity. 'paper': edges (i -+ 0.5) / 255; 'official': edges i / 256.
BINS = {'paper': 255, 'official': 256}

# Bounds the kernel's mass that one pixel may lose, and the error of the polynomials. In float64 they are to be smooth
# enough for numerical differentiation; below that the coefficients' own rounding counts.
TOLERANCE = {torch.float32: 6e-8, torch.float64: 1e-12}

# Bins that one row of the banded product covers; only its speed depends on it.
BLOCK = 32

# The widest cell, in units of the sigmoid's length. Polynomials of degree 8 then reach float32.
MAX_SLOPE = 1.6


class Kernel(NamedTuple):
    """The polynomials of K as banded matrices, in float64.

    Args:
        reach (int): Bins on either side to which a pixel contributes.
        cells_per_bin (int): Cells into which a bin is cut.
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
        """Cells of the bins, of the reach around them and of one bin beyond on either side, in whole blocks."""
        return math.ceil((NUM_BINS + 2 * self.reach + 2) / BLOCK) * BLOCK * self.cells_per_bin


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(x / 2))


def _fit(function, degree: int, reach: int, cells_per_bin: int) -> Tuple[np.ndarray, float]:
    """Interpolates function(u - i) at the Chebyshev nodes of every cell of bin 0, for the bins i within reach.

    Returns:
        tuple: Coefficients (degree + 1, cells_per_bin, 2 reach + 1) of powers of the offset, which is in cells and within
        +-0.5, and the largest error.
    """
    centres = (np.arange(cells_per_bin) + 0.5) / cells_per_bin - 0.5
    distances = centres[:, None] - np.arange(-reach, reach + 1)

    def sample(offsets):
        return function(offsets[:, None, None] / cells_per_bin + distances)

    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)) / 2
    values = sample(nodes)
    coefficients = np.linalg.solve(np.vander(nodes, increasing=True), values.reshape(degree + 1, -1))
    offsets = np.linspace(-0.5, 0.5, 201)
    fitted = np.vander(offsets, degree + 1, increasing=True) @ coefficients
    return coefficients.reshape(values.shape), np.abs(fitted.reshape(-1, *values.shape[1:]) - sample(offsets)).max()


@lru_cache(maxsize=16)
def build_kernel(slope: float, tolerance: float, device: torch.device) -> Kernel:
    """Chooses reach, cells and degree such that both the mass lost and the error of K and K' / slope are below tolerance.

    Args:
        slope (float): The sigmoid's alpha per bin.
        tolerance (float): See above.
        device (torch.device): Where the matrices are wanted.
    """
    # Beyond the reach a pixel has at most 2 exp(-slope * reach) of its mass.
    reach = math.ceil(math.log(2 / tolerance) / slope)
    cells_per_bin = 2**max(0, math.ceil(math.log2(slope / MAX_SLOPE)))

    def kernel(u):
        return _sigmoid(slope * (u + 0.5)) - _sigmoid(slope * (u - 0.5))

    def derivative(u):
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
        # Window position p is the bin p - reach of the block: seen from its cells the bins run the other way.
        near = slice(position, position + 2 * reach + 1)
        spread[:, near, :, position] = values.transpose(0, 2, 1)[:, ::-1]
        gather[:, near, position] = slopes.transpose(0, 2, 1)
    spread = torch.from_numpy(spread.reshape(degree + 1, window * cells_per_bin, BLOCK)).to(device)
    gather = torch.from_numpy(gather.reshape(degree + 1, window, BLOCK * cells_per_bin)).to(device)
    return Kernel(reach, cells_per_bin, spread, gather)


class Regions(NamedTuple):
    """The classes that occur in each image, numbered image by image: absent ones cost nothing.

    Args:
        present (Tensor): (N, num_classes) bool: which classes occur.
        used (Tensor): (N, K) bool: which numbers stand for a class, K being the largest count of classes in an image.
        number (Tensor): (N, H W) int64: number of each pixel's class; K for pixels to ignore.
    """
    present: Tensor
    used: Tensor
    number: Tensor


def _find_regions(labels: Tensor, num_classes: int) -> Regions:
    labels = labels.flatten(1).long()
    labels = torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    present = labels.new_zeros((len(labels), num_classes + 1), dtype=torch.bool).scatter_(1, labels, True)[:, :num_classes]
    counts = present.sum(1, keepdim=True)
    largest = int(counts.max())
    numbers = torch.nn.functional.pad(present.cumsum(1) - 1, (0, 1), value=largest)
    used = torch.arange(largest, device=labels.device) < counts
    return Regions(present, used, numbers.gather(1, labels))


def _locate(x: Tensor, regions: Regions, kernel: Kernel, bins_per_unit: int) -> Tuple[Tensor, Tensor]:
    """Finds every pixel's cell, counted over the regions of an image, and its offset from the cell's centre.

    Returns:
        tuple: Indices int64 and offsets within +-0.5, both (N, channels, H W).
    """
    per_bin, reach = kernel.cells_per_bin, kernel.reach
    # What lies beyond the reach goes to the outermost bins, which no histogram reads.
    x = x.flatten(2).clamp((-reach - 1) / bins_per_unit, (NUM_BINS + reach) / bins_per_unit)
    # 255 x - cell would lose the digits below the cell in float32; 256 x is exact, and so is its difference to the cell.
    scaled = x * (256 * per_bin)
    shift = x * per_bin - 0.5 * per_bin if bins_per_unit == 255 else torch.zeros((), dtype=x.dtype, device=x.device)
    cell = (scaled - shift).floor_()
    offset = (scaled - cell).sub_(shift + 0.5)
    # A NaN has no cell: it is counted in bin 0, where its offset makes the histogram NaN.
    index = cell.nan_to_num_(nan=0.).long().add_((reach + 1) * per_bin)
    return index.add_(regions.number.unsqueeze(1) * kernel.num_cells), offset


class _SoftHistogram(torch.autograd.Function):
    """Keeps nothing but its inputs for the backward pass.

    Sums are in float64: 25,600 equal pixels would lose four digits in float32. It also keeps the products out of autocast
    and TF32.
    """

    @staticmethod
    def forward(ctx, x: Tensor, labels: Tensor, num_classes: int, bins_per_unit: int, alpha: float) -> Tensor:
        ctx.save_for_backward(x, labels)
        ctx.options = num_classes, bins_per_unit, alpha
        kernel = build_kernel(alpha / bins_per_unit, TOLERANCE[x.dtype], x.device)
        regions = _find_regions(labels, num_classes)
        index, offset = _locate(x, regions, kernel, bins_per_unit)
        num_images, num_regions, channels = *regions.used.shape, x.size(1)

        moments = x.new_zeros((num_images, channels, num_regions + 1, kernel.num_cells), dtype=torch.float64)
        windows = moments[:, :, :num_regions, kernel.cells_per_bin:].unfold(
            3, kernel.spread.size(1), BLOCK * kernel.cells_per_bin)
        histogram = moments.new_zeros((num_images, channels, num_regions, NUM_BINS // BLOCK, BLOCK))
        offset = offset.double()
        power = torch.ones_like(offset)
        for spread in kernel.spread:
            moments.zero_().flatten(2).scatter_add_(2, index, power)
            histogram += windows @ spread
            power *= offset

        result = x.new_zeros((num_images, num_classes, channels, NUM_BINS))
        result[regions.present] = histogram.flatten(3).transpose(1, 2)[regions.used].to(x.dtype)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, labels = ctx.saved_tensors
        num_classes, bins_per_unit, alpha = ctx.options
        kernel = build_kernel(alpha / bins_per_unit, TOLERANCE[x.dtype], x.device)
        regions = _find_regions(labels, num_classes)
        index, offset = _locate(x, regions, kernel, bins_per_unit)
        num_images, num_regions, channels = *regions.used.shape, x.size(1)

        num_blocks = kernel.num_cells // (BLOCK * kernel.cells_per_bin)
        margin = 2 * kernel.reach + 1
        padded = grad.new_zeros((num_images, num_regions + 1, channels, num_blocks * BLOCK + 2 * kernel.reach),
                                dtype=torch.float64)
        padded[:, :num_regions, :, margin:margin + NUM_BINS][regions.used] = grad[regions.present].double()
        windows = padded.transpose(1, 2).unfold(3, kernel.slopes.size(1), BLOCK)
        grad_x = torch.zeros_like(offset)
        for slopes in kernel.slopes.flip(0):
            coefficients = (windows @ slopes).to(x.dtype).flatten(2)
            grad_x.mul_(offset).add_(coefficients.gather(2, index))
        return grad_x.mul_(bins_per_unit).view_as(x), None, None, None, None


def soft_histogram(x: Tensor, labels: Tensor, num_classes: int, bins: str = 'paper', alpha: float = 400.) -> Tensor:
    r"""Differentiable colour histogram of every class region (SKF, section 3.3, Eq. 7 to 9).

    .. math::
        H_i^c = \sum_{j \in c} \sigma(\alpha (x_j - e_i)) - \sigma(\alpha (x_j - e_{i+1})), \quad i = 0..255

    with the edges :math:`e_i = (i - 0.5) / 255` ('paper') or :math:`i / 256` ('official', the released code). At
    alpha = 400 a pixel adds at most 0.37 to one bin, 1 to all bins together, and 0.5 at the ends of the range; values
    outside of it count for what their kernel leaves inside.

    All classes and channels are done in one pass, exact to the rounding of float32 (float64 inputs: to 1e-12), with memory
    in proportion to the pixels.

    Args:
        x (Tensor): Images, (N, channels, H, W), intensities in [0, 1]; half precision is computed in float32.
        labels (Tensor): Class of each pixel, (N, H, W), integers; pixels with labels outside 0..num_classes-1 are ignored.
        num_classes (int): Number of classes.
        bins (str): 'paper' or 'official'. Defaults to 'paper'.
        alpha (float): Steepness of the sigmoids per unit of intensity. Defaults to 400.

    Returns:
        Tensor: (N, num_classes, channels, 256), zero for absent classes; differentiable (once) with respect to ``x``.

    Raises:
        ValueError: For an unknown ``bins``, an ``alpha`` that is not positive, and shapes that do not fit.
    """
    if bins not in BINS:
        raise ValueError(f'bins of soft_histogram is {bins!r}; choose one of {list(BINS)}')
    if not 0 < alpha < math.inf:
        raise ValueError(f'alpha of soft_histogram is {alpha}; it must be positive (the paper has 400)')
    if x.ndim != 4 or labels.shape != (len(x), *x.shape[2:]):
        raise ValueError(f'soft_histogram was given x of shape {tuple(x.shape)} and labels of shape {tuple(labels.shape)}; '
                         'expected (N, channels, H, W) and (N, H, W) of the same size: resize the labels to the image')
    if labels.is_floating_point():
        raise ValueError(f'labels of soft_histogram are {labels.dtype}, expected integers: take the argmax of the class scores')
    if x.dtype not in TOLERANCE:
        x = x.float()
    return _SoftHistogram.apply(x, labels, num_classes, BINS[bins], float(alpha))

import numpy as np
import scipy  # which imports its parts when they are used
import torch
from torch import Tensor

from mmskf.models.enhancement_net import EnhancementNet
from mmskf.registry import MODELS
from mmskf.structures import Prior

# The exact solver's penalty mu, its growth rho, and its stopping criteria: on photos it takes about 150 rounds.
MU, RHO, ROUNDS, TOLERANCE = 0.05, 1.05, 500, 1e-5
DARKEST = 1e-3  # minimum of the refined illumination, by which the image is divided


def central_differences(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical central differences, (H, W) each; 0 at the borders, where a neighbor is missing."""
    across, down = np.zeros_like(image), np.zeros_like(image)
    across[:, 1:-1] = image[:, 2:] - image[:, :-2]
    down[1:-1] = image[2:] - image[:-2]
    return across, down


def cyclic_differences(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal and vertical forward differences, (H, W) each, with wraparound."""
    return np.roll(image, -1, axis=1) - image, np.roll(image, -1, axis=0) - image


def strategy_weights(difference: np.ndarray, strategy: int, sigma: float, window: int, eps: float) -> np.ndarray:
    """The weight W of the differences in one direction (LIME, Sec. III-C).

    Args:
        difference (np.ndarray): Differences (H, W) of the initial illumination in this direction.
        strategy (int): 1: all weights are equal. 2: large differences get lower weights. 3: so do differences of the same sign
            as others in a Gaussian window, as at an edge, but not in texture.
        sigma (float): Standard deviation of the window, in pixels.
        window (int): Side of the window, odd.
        eps (float): Keeps the weights finite.

    Returns:
        np.ndarray: (H, W)
    """
    if strategy == 1:
        return np.ones_like(difference)
    if strategy == 2:
        return 1 / (np.abs(difference) + eps)
    gaussian = np.exp(-np.square(np.arange(window) - window // 2) / (2 * sigma**2))

    def blur(image: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            image = scipy.ndimage.correlate1d(image, gaussian, axis=axis, mode='constant')
        return image

    return blur(np.ones_like(difference)) / (np.abs(blur(difference)) + eps)


def solve_sped_up(t0: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """LIME's sped-up solver: one linear system instead of the L1 term (Sec. III-B2).

    The weights of the squared differences are those of the neighbor, as in the public Python port, so the matrix is not
    symmetric.

    Args:
        t0 (np.ndarray): Initial illumination (H, W), float64.
        across (np.ndarray): Weights (H, W) of the horizontal differences: alpha * W / (|difference| + eps).
        down (np.ndarray): The same, vertical.

    Returns:
        np.ndarray: Refined illumination (H, W).
    """
    height, width = t0.shape
    # Element q of a scipy diagonal is in column q: the weight of the neighbor q. The first pixel of a row has no neighbor on its
    # left, the last one none on its right.
    right, left = across.copy(), across.copy()
    right[:, 0] = left[:, -1] = 0
    neighbors = sum(
        scipy.sparse.dia_array((-np.stack(weights).reshape(2, -1), (distance, -distance)), shape=(t0.size, t0.size)).tocsc()
        for weights, distance in (((right, left), 1), ((down, down), width)))
    matrix = neighbors + scipy.sparse.diags_array(1 - neighbors.sum(axis=1), format='csc')
    # The matrix is diagonally dominant, so no pivoting is needed: 30 times faster.
    factors = scipy.sparse.linalg.splu(matrix, permc_spec='MMD_AT_PLUS_A', diag_pivot_thresh=0, options=dict(SymmetricMode=True))
    return factors.solve(t0.ravel()).reshape(height, width)


def solve_exact(t0: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """LIME's exact solver (Alg. 1): min_T |T - T0|^2 + |across * d_h T|_1 + |down * d_v T|_1 by augmented Lagrangians.

    Args:
        t0 (np.ndarray): Initial illumination (H, W), float64.
        across (np.ndarray): Weights (H, W) of the horizontal cyclic differences: alpha * W.
        down (np.ndarray): The same, vertical.

    Returns:
        np.ndarray: Refined illumination (H, W).
    """
    height, width = t0.shape
    weights = np.stack([across, down])
    # |FFT of a forward difference|^2 in closed form: the eigenvalues of D'D.
    frequencies = 4 * np.sin(np.pi * np.arange(height) / height)[:, None]**2 + 4 * np.sin(
        np.pi * np.arange(width // 2 + 1) / width)**2
    limit = TOLERANCE * np.linalg.norm(cyclic_differences(t0))
    g = z = np.zeros_like(weights)
    t, mu = t0, MU
    for _ in range(ROUNDS):
        target_h, target_v = g - z / mu
        transposed = np.roll(target_h, 1, axis=1) - target_h + np.roll(target_v, 1, axis=0) - target_v
        t = scipy.fft.irfft2(scipy.fft.rfft2(2 * t0 + mu * transposed) / (2 + mu * frequencies), s=t0.shape)
        differences = np.stack(cyclic_differences(t))
        shifted = differences + z / mu
        g = np.sign(shifted) * np.maximum(np.abs(shifted) - weights / mu, 0)
        z = z + mu * (differences - g)
        mu *= RHO
        if np.linalg.norm(differences - g) <= limit:
            break
    return t


SOLVERS = dict(sped_up=(solve_sped_up, central_differences), exact=(solve_exact, cyclic_differences))


@MODELS.register_module()
class LIME(EnhancementNet):
    """LIME (Guo et al., TIP 2017): divides the image by its illumination, a refined maximum over R, G and B. No weights.

    The defaults are those of the public Python port, whose results are known. The paper uses ``gamma=0.8, sigma=2``, denoises the
    result (not done here), and publishes no code of its solvers.

    Args:
        solver (str): 'sped_up': one sparse linear system. 'exact': the L1 term, by augmented Lagrangians. Defaults to
            'sped_up'.
        strategy (int): Strategy for the weights of the differences: 1, 2 or 3, see :func:`strategy_weights`. Defaults to 3.
        alpha (float): Smoothness of the illumination. Its scale depends on the strategy in the exact solver, which with 0.15
            flattens nearly all of a photo under strategies 2 and 3: 0.015 and 0.0015 correspond to 0.15 under strategy 1.
            Defaults to 0.15.
        gamma (float): Exponent of the illumination; 0 leaves the image unchanged, 1 makes it brightest. Defaults to 0.6.
        sigma (float): Standard deviation of the window of strategy 3, in pixels. Defaults to 3.
        window (int): Side of that window, odd. Defaults to 15.
        eps (float): Minimum difference, in the denominators of the weights. Defaults to 1e-3.
        init_cfg (dict, optional): As in :class:`BaseModule`.

    Shape:
        (N, 3, H, W) in [0, 1] -> (N, 3, H, W), unclamped

    Raises:
        ValueError: If an option is unknown, or a number out of range.
    """
    export_obstacle = 'scipy solves its equations, not PyTorch'

    def __init__(self,
                 solver: str = 'sped_up',
                 strategy: int = 3,
                 alpha: float = 0.15,
                 gamma: float = 0.6,
                 sigma: float = 3.,
                 window: int = 15,
                 eps: float = 1e-3,
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        if solver not in SOLVERS:
            raise ValueError(f'solver of LIME is {solver!r}: choose from {", ".join(SOLVERS)}')
        if strategy not in (1, 2, 3):
            raise ValueError(f'strategy of LIME is {strategy!r}: choose 1, 2 or 3')
        if window < 1 or window % 2 == 0:
            raise ValueError(f'window of LIME is {window!r}, expected an odd number of pixels')
        for name, value in dict(alpha=alpha, gamma=gamma, sigma=sigma, eps=eps).items():
            if value < 0 or (value == 0 and name in ('sigma', 'eps')):
                raise ValueError(f'{name} of LIME is {value!r}, expected a positive number')
        self.solver, self.strategy, self.alpha, self.gamma = solver, strategy, alpha, gamma
        self.sigma, self.window, self.eps = sigma, window, eps

    def weights(self, t0: np.ndarray) -> list[np.ndarray]:
        """The weights of the horizontal and of the vertical differences, without alpha.

        Args:
            t0 (np.ndarray): Initial illumination (H, W), float64.

        Returns:
            list[np.ndarray]: Two of (H, W).
        """
        _, differences_of = SOLVERS[self.solver]
        differences = differences_of(t0)
        weights = [strategy_weights(difference, self.strategy, self.sigma, self.window, self.eps) for difference in differences]
        if self.solver == 'sped_up':  # for squares instead of magnitudes
            weights = [weight / (np.abs(difference) + self.eps) for weight, difference in zip(weights, differences)]
        return weights

    def illumination(self, inputs: Tensor) -> Tensor:
        """The refined illumination T, before gamma.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W) in [0, 1].

        Returns:
            Tensor: (N, 1, H, W) in [0.001, 1], float64, on the CPU.
        """
        solve, _ = SOLVERS[self.solver]
        refined = []
        for t0 in inputs.amax(dim=1).detach().double().cpu().numpy():
            t = solve(t0, *(self.alpha * weight for weight in self.weights(t0)))
            refined.append(torch.from_numpy(np.clip(t, DARKEST, 1)))
        return torch.stack(refined).unsqueeze(1)

    def forward(self, inputs: Tensor, prior: Prior = None) -> Tensor:
        """Enhances a batch of images, one by one; the prior is for networks with SE modules."""
        return inputs / self.illumination(inputs).pow(self.gamma).to(inputs)

import numpy as np
import pytest
import torch
from golden import Golden
from scipy.optimize import lsq_linear

from mmskf.models import LIME
from mmskf.models.editors.simple.lime import cyclic_differences, solve_exact, solve_sped_up, strategy_weights


@pytest.fixture(scope='module')
def golden():
    return Golden('lime')


@pytest.mark.parametrize('case', ['a_120x160', 'b_120x160'])
def test_golden(golden, case):
    """Every step of the public port that computes the golden figures, on photographs."""
    x = golden.inputs(case)['x'].double() / 255
    net = LIME()
    t0 = x.amax(dim=1, keepdim=True)
    golden.check(case, 't0', t0)
    for name, weights in zip(('wx', 'wy'), net.weights(t0[0, 0].numpy())):
        golden.check(case, name, torch.from_numpy(weights)[None, None])
    t = net.illumination(x)
    golden.check(case, 't_refined', t)
    golden.check(case, 't_gamma', t**0.6)
    y = x / t**0.6
    golden.check(case, 'enhanced', y)
    assert torch.equal(net(x), y)
    golden.check(case, 'enhanced_uint8', (y * 255).clamp(0, 255).byte())
    golden.check(case, 't_sigma2_gamma08', LIME(sigma=2).illumination(x)**0.8)


def test_single_precision(golden):
    """Images come in float32; what is computed of them must not be."""
    x = golden.inputs('a_120x160')['x'].float() / 255
    y = LIME()(x)
    assert y.dtype == torch.float32
    golden.check('a_120x160', 'enhanced', y)


@pytest.mark.parametrize('size', [(5, 7), (1, 6), (6, 1), (1, 1)])
def test_sped_up_solver_against_a_dense_one(size):
    """The matrix pixel by pixel, as it is defined: each neighbor has its own weight."""
    rng = np.random.default_rng(0)
    t0, across, down = rng.random(size), *rng.exponential(3, (2, *size))
    height, width = size
    matrix = np.eye(t0.size)
    for y in range(height):
        for x in range(width):
            for ny, nx, weights in ((y, x - 1, across), (y, x + 1, across), (y - 1, x, down), (y + 1, x, down)):
                if 0 <= ny < height and 0 <= nx < width:
                    matrix[y * width + x, ny * width + nx] -= weights[ny, nx]
                    matrix[y * width + x, y * width + x] += weights[ny, nx]
    expected = np.linalg.solve(matrix, t0.ravel()).reshape(size)
    np.testing.assert_allclose(solve_sped_up(t0, across, down), expected, rtol=1e-12)


@pytest.mark.parametrize('strategy, alpha', [(1, 0.15), (2, 0.015), (3, 0.0015)])
def test_exact_solver_against_the_dual_problem(strategy, alpha):
    """min_T |T - T0|^2 + |w * D T|_1 is T0 - D'z / 2 of the z in [-w, w] that makes it shortest, which SciPy finds."""
    t0 = np.random.default_rng(0).random((8, 10)).repeat(2, axis=0)[:11] + np.linspace(0, 1, 10)
    weights = [alpha * strategy_weights(d, strategy, 3., 15, 1e-3) for d in cyclic_differences(t0)]
    t = solve_exact(t0, *weights)

    units = np.eye(t0.size).reshape(t0.size, *t0.shape)
    operator = np.stack([np.concatenate([d.ravel() for d in cyclic_differences(unit)]) for unit in units], axis=1)
    bounds = np.concatenate([weight.ravel() for weight in weights])
    z = lsq_linear(operator.T / 2, t0.ravel(), (-bounds, bounds), tol=1e-13).x
    expected = t0 - (operator.T @ z / 2).reshape(t0.shape)
    assert expected.std() < 0.98 * t0.std()
    np.testing.assert_allclose(t, expected, atol=1e-3)


def test_strategies():
    """In closed form: a single edge of height 0.5 between even areas."""
    difference = np.zeros((21, 21))
    difference[:, 10] = 0.5
    first, second, third = (strategy_weights(difference, strategy, 2., 5, 0.01) for strategy in (1, 2, 3))
    assert np.all(first == 1)
    np.testing.assert_allclose(second, np.where(difference > 0, 1 / 0.51, 100))
    column = np.exp(-np.arange(-2, 3)**2 / 8)
    np.testing.assert_allclose(third[10, 8:13], column.sum()**2 / (0.5 * column * column.sum() + 0.01))
    np.testing.assert_allclose(third[10, 4], column.sum()**2 / 0.01)


@pytest.mark.parametrize('strategy, alpha', [(1, 0.15), (2, 0.015), (3, 0.0015)])
def test_exact_solver_smooths(golden, strategy, alpha):
    """On a photograph, with the alpha that the docstring names: the map is smoother than its start, and close to it."""
    x = golden.inputs('a_120x160')['x'] / 255
    t0, t = x.amax(dim=1, keepdim=True), LIME(solver='exact', strategy=strategy, alpha=alpha).illumination(x)
    assert t.diff().abs().mean() < 0.3 * t0.diff().abs().mean()
    assert (t - t0).abs().mean() < 0.2 * t0.mean()


def test_images_of_a_batch_do_not_see_each_other(golden):
    x = torch.cat([golden.inputs(case)['x'] / 255 for case in golden.cases])[..., :40, :50]
    net = LIME()
    assert torch.equal(net(x)[1:], net(x[1:]))


@pytest.mark.parametrize('options, message', [
    (dict(solver='fast'), "solver of LIME is 'fast': choose from sped_up, exact"),
    (dict(strategy=4), 'strategy of LIME is 4'),
    (dict(window=4), 'window of LIME is 4, expected an odd'),
    (dict(eps=0), 'eps of LIME is 0, expected a positive'),
    (dict(alpha=-1), 'alpha of LIME is -1'),
])
def test_options_that_do_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        LIME(**options)

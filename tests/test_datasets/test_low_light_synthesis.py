import numpy as np
import pytest
from skimage.color import rgb2xyz

from mmskf.datasets import darken, expose, linear_to_srgb, srgb_to_linear

NOISELESS = dict(full_well=1e12, read_noise=0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_srgb_curve():
    values = np.arange(256) / 255
    assert np.abs(linear_to_srgb(srgb_to_linear(values)) - values).max() < 1e-7
    # scikit-image linearises inside rgb2xyz: for gray, Y of white (1.0) times the linear value.
    gray = np.repeat(values.reshape(1, 256, 1), 3, axis=2)
    np.testing.assert_allclose(srgb_to_linear(values), rgb2xyz(gray)[0, :, 1], atol=2e-6)
    assert linear_to_srgb(np.array([-0.1, 1.2])).tolist() == pytest.approx([0, 1])


def test_exposure_and_gains_scale_the_mean(rng):
    linear = np.full((200, 200, 3), 0.5)
    mean = expose(linear, rng, 1 / 16, gains=(1.2, 1, 0.8)).mean((0, 1))
    # standard error of the mean: sqrt(variance / 40000) < 1e-5
    np.testing.assert_allclose(mean, np.array([1.2, 1, 0.8]) / 32, atol=5e-5)


@pytest.mark.parametrize('level', [0, 0.01, 0.2, 1])
def test_variance_follows_the_noise_model(rng, level):
    full_well, read_noise = 2000, 6
    noisy = expose(np.full((300, 300, 3), level), rng, 0.1, full_well=full_well, read_noise=read_noise)
    expected = 0.1 * level / full_well + (read_noise / full_well)**2
    # relative standard error of a variance of 270000 samples: sqrt(2 / 270000) = 0.27 %
    assert noisy.var() == pytest.approx(expected, rel=0.015)


def test_darken_without_noise_is_the_curve(rng):
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    expected = np.rint(255 * linear_to_srgb(srgb_to_linear(image / 255) * 0.047))
    assert np.array_equal(darken(image, rng, 0.047, **NOISELESS), expected)
    assert np.array_equal(darken(image, rng, 1, **NOISELESS), image)


def test_darken_is_decided_by_the_generator():
    image = np.full((20, 30, 3), 200, np.uint8)
    first, same, other = (darken(image, np.random.default_rng(seed), 0.03) for seed in (1, 1, 2))
    assert first.dtype == np.uint8 and first.shape == image.shape
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)

import numpy as np
import pytest

from mmskf.utils.image import linear_to_srgb, srgb_to_linear
from mmskf.utils.strength import blend, strength_map


def test_blend_is_linear_in_light():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 5, 3), dtype=np.uint8)  # more rows than are blended at once
    enhanced = rng.uniform(-10, 270, image.shape).astype(np.float32)
    share = rng.uniform(0, 1, image.shape[:2]).astype(np.float32)
    dark, bright = srgb_to_linear(image / 255), srgb_to_linear(np.clip(enhanced, 0, 255) / 255.)
    light = (1 - share[..., None]) * dark + share[..., None] * bright
    assert np.abs(blend(image, enhanced, share) - 255 * linear_to_srgb(light)).max() < 1e-2
    assert blend(image, enhanced, 1.) is enhanced
    assert np.array_equal(np.rint(blend(image, enhanced, 0.)), image)


def test_strength_of_classes_is_the_sum_of_feathered_masks():
    labels = np.zeros((60, 80), np.int64)
    labels[:, 40:], labels[30:, 60:] = 1, 2
    classes = ('sky', 'road', 'tree')
    found = strength_map(labels, classes, dict(sky=0.2, tree=0.9), strength=0.5)
    masks = [strength_map(labels, classes, {name: 1.}, strength=0.) for name in classes]
    assert np.abs(sum(masks) - 1).max() < 1e-6
    assert np.abs(found - (0.2 * masks[0] + 0.5 * masks[1] + 0.9 * masks[2])).max() < 1e-6
    assert np.array_equal(strength_map(labels, classes, dict(road=0.), feather=0.), (labels != 1).astype(np.float32))


def test_names_and_values_that_are_wrong():
    labels = np.zeros((4, 4), np.int64)
    with pytest.raises(ValueError, match='names moon, sun, which the knowledge bank does not know: its classes are sky'):
        strength_map(labels, ('sky', ), dict(moon=1., sun=0.))
    with pytest.raises(ValueError, match='strength is 1.2'):
        strength_map(labels, ('sky', ), dict(sky=1.2))
    with pytest.raises(ValueError, match="strength is '0.5'"):
        strength_map(labels, ('sky', ), dict(sky='0.5'))
    with pytest.raises(TypeError, match="expected a dict such as {'sky': 0.2}"):
        strength_map(labels, ('sky', ), ['sky'])

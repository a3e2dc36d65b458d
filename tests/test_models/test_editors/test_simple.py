"""Methods without weights, but for LIME, and the editor of them all."""
import cv2
import numpy as np
import pytest
import torch
from mmagic.structures import DataSample
from PIL import Image

from mmskf.models import CLAHE, GammaCorrection, Identity
from mmskf.registry import MODELS


@pytest.fixture(scope='module')
def photo():
    """A dark picture, uint8 (60, 80, 3): smooth areas with a little noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 120, (5, 6, 3), dtype=np.uint8))
    return (np.asarray(coarse.resize((80, 60), Image.Resampling.BICUBIC)) * 0.7 + rng.integers(0, 6, (60, 80, 3))).astype(np.uint8)


def tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None] / 255


def editor(**generator):
    return MODELS.build(dict(type='SimpleEditor', generator=generator)).eval()


def test_identity(photo):
    assert torch.equal(Identity()(tensor(photo)), tensor(photo))


def test_gamma():
    x = torch.tensor([0., 0.25, 0.5, 1.]).reshape(1, 1, 1, 4).repeat(1, 3, 1, 1)
    torch.testing.assert_close(GammaCorrection(2)(x), torch.tensor([0., 0.5, 0.70710678, 1.]).expand_as(x))
    torch.testing.assert_close(GammaCorrection()(x)[0, 0, 0, 2], torch.tensor(0.5**(1 / 2.2)))


@pytest.mark.parametrize('clip_limit, tiles', [(8., 8), (2., 4)])
def test_clahe_against_opencv_in_8_bits(photo, clip_limit, tiles):
    """The usual four lines with OpenCV, whose 8-bit CIELAB rounds: a step of lightness is one of the steep curve of CLAHE."""
    lab = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(lab[..., 0])
    expected = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).astype(float)
    result = CLAHE(clip_limit, tiles)(tensor(photo))[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(result - expected).mean() < 0.1 * np.abs(expected - photo).mean()


def test_clahe_of_gray_is_opencv_s_of_its_lightness(photo):
    gray = photo[..., :1].repeat(3, axis=2)
    lightness = cv2.cvtColor(gray.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    expected = cv2.createCLAHE(8, (8, 8)).apply(np.rint(lightness * 2.55).astype(np.uint8))
    result = CLAHE()(tensor(gray))[0].permute(1, 2, 0).numpy()
    found = cv2.cvtColor(np.ascontiguousarray(result), cv2.COLOR_RGB2LAB)[..., 0] * 2.55
    np.testing.assert_allclose(found, expected, atol=0.6)  # OpenCV's CIELAB is right to 0.2 of 100
    assert np.ptp(result, axis=2).max() < 0.003


def test_clahe_of_a_batch_and_of_a_pixel(photo):
    x = torch.cat([tensor(photo), tensor(photo[::-1].copy())])
    assert torch.equal(CLAHE()(x)[1:], CLAHE()(x[1:]))
    assert CLAHE()(x[..., :1, :1].double()).shape == (2, 3, 1, 1)


@pytest.mark.parametrize('build, message', [
    (lambda: GammaCorrection(0), 'gamma of GammaCorrection is 0'),
    (lambda: CLAHE(clip_limit=0), 'clip_limit and tiles of CLAHE are 0'),
    (lambda: CLAHE(tiles=0), 'clip_limit and tiles of CLAHE are 8.0 and 0'),
])
def test_numbers_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_editor(photo):
    model = editor(type='GammaCorrection', gamma=2)
    torch.testing.assert_close(model(tensor(photo)), tensor(photo).sqrt())
    assert not model.state_dict()


def test_editor_cannot_be_trained(photo):
    model = editor(type='CLAHE')
    with pytest.raises(TypeError, match='CLAHE has no weights, so that there is nothing to train'):
        model(tensor(photo), DataSample(gt_img=tensor(photo)), mode='loss')


def test_editor_is_for_methods_without_weights():
    with pytest.raises(ValueError, match='DRBNNet has weights: its editor is SKFEditor'):
        editor(type='DRBNNet', channels=4, growth=2)

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
    smooth = np.asarray(coarse.resize((80, 60), Image.Resampling.BICUBIC))
    return (smooth * 0.7 + rng.integers(0, 6, (60, 80, 3))).astype(np.uint8)


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
    """The usual four lines with OpenCV, whose 8-bit HSV rounds hue (to 2 degrees) and saturation too."""
    hsv = cv2.cvtColor(photo, cv2.COLOR_RGB2HSV)
    hsv[..., 2] = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(hsv[..., 2])
    expected = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(float)
    result = CLAHE(clip_limit, tiles)(tensor(photo))[0].permute(1, 2, 0).numpy() * 255
    np.testing.assert_allclose(result.max(axis=2), hsv[..., 2], atol=0.01)
    assert np.abs(result - expected).max() < 5 < np.abs(expected - photo).mean()


def test_clahe_keeps_colors(photo):
    """Every pixel is scaled; black ones become gray, where the histogram says so."""
    photo = photo.copy()
    photo[:10] = 0
    result = CLAHE()(tensor(photo))[0].permute(1, 2, 0).numpy() * 255
    lit = photo.max(axis=2) > 0
    scale = result.max(axis=2)[lit] / photo.max(axis=2)[lit]
    np.testing.assert_allclose(result[lit], photo[lit] * scale[:, None], atol=0.05)
    assert np.ptp(result[~lit], axis=1).max() == 0 and scale.mean() > 1.2


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
    with pytest.raises(TypeError, match='CLAHE has no weights, so there is nothing to train'):
        model(tensor(photo), DataSample(gt_img=tensor(photo)), mode='loss')


def test_editor_is_for_methods_without_weights():
    with pytest.raises(ValueError, match='DRBNNet has weights: its editor is SKFEditor'):
        editor(type='DRBNNet', channels=4, growth=2)

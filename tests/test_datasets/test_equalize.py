import numpy as np
import pytest
from golden import Golden
from mmagic.datasets.transforms import Flip, PackInputs
from mmcv.transforms import Compose

from mmskf.datasets import AppendEqualized, RandomCrop


@pytest.mark.parametrize('case', ['a_64x96', 'b_72x104'])
def test_golden(case):
    inputs = Golden('llflow_s_skf').inputs(case)
    for low, expected in zip(inputs['low_u8'].numpy(), inputs['lr'][:, 3:].numpy()):
        image = AppendEqualized()(dict(img=low))['img']
        assert image.dtype == np.uint8 and np.array_equal(image[..., :3], low)
        assert np.abs(image[..., 3:].transpose(2, 0, 1) / 255 - expected).max() < 1e-6


def test_equalised_by_hand():
    """Rank of a value among those above the darkest, over 0..255; a constant channel stays as it is."""
    low = np.zeros((2, 4, 3), np.uint8)
    low[..., 0] = [[1, 1, 3, 3], [3, 3, 9, 9]]
    low[..., 1] = 7
    equalized = AppendEqualized('gt')(dict(gt=low))['gt'][..., 3:]
    assert equalized[..., 0].tolist() == [[0, 0, 170, 170], [170, 170, 255, 255]]
    assert (equalized[..., 1] == 7).all()


def test_crop_and_flip_take_all_six_channels():
    """The equalised channels are those of the whole image, at the pixels that are left."""
    low = np.random.default_rng(0).integers(0, 60, (24, 32, 3), dtype=np.uint8)
    pipeline = Compose([
        AppendEqualized(), RandomCrop(['img'], 16), Flip(['img'], flip_ratio=1., direction='horizontal'), PackInputs()])
    cropped = pipeline(dict(img=low, img_channel_order='rgb'))['inputs'].numpy().transpose(1, 2, 0)
    whole = AppendEqualized()(dict(img=low))['img'][:, ::-1]
    found = [whole[y:y + 16, x:x + 16] for y in range(9) for x in range(17)
             if np.array_equal(whole[y:y + 16, x:x + 16, :3], cropped[..., :3])]
    assert len(found) == 1 and np.array_equal(found[0], cropped)

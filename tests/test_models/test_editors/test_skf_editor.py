import pytest
import torch
from mmagic.structures import DataSample

from mmskf.models.editors.enhancement_editor import pad_to_multiple
from mmskf.registry import MODELS


def editor(**changes):
    return MODELS.build(
        dict(
            type='SKFEditor',
            generator=dict(type='DRBNNet', channels=4, growth=2),
            recon_loss=dict(type='PyramidLoss', loss=dict(type='SSIMLoss')),
            data_preprocessor=dict(type='mmagic.DataPreprocessor', mean=[0., 0., 0.], std=[255., 255., 255.]),
            **changes)).eval()


@pytest.mark.parametrize('size', [(1, 1), (2, 7), (37, 53), (64, 96)])
def test_any_size(size):
    model = editor()
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        assert model(image).shape == image.shape
        if size == (64, 96):
            assert torch.equal(model(image), model.generator(image)[0])


def test_padding_mirrors_where_it_can():
    image = torch.arange(6.).reshape(1, 1, 2, 3)
    assert pad_to_multiple(image, 4)[0, 0, 0].tolist() == [0, 1, 2, 1]
    assert pad_to_multiple(image, 4)[0, 0, :, 0].tolist() == [0, 3, 3, 3]  # 2 rows cannot mirror 2 more
    assert pad_to_multiple(image, 1) is image


def test_tta_is_the_mean_over_flips():
    model, flipping = editor(), editor(test_cfg=dict(tta=True))
    flipping.load_state_dict(model.state_dict())
    image = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        expected = sum(model(image.flip(axes)).flip(axes) for axes in ((), (-1, ), (-2, ), (-2, -1))) / 4
        assert torch.allclose(flipping(image), expected, atol=1e-6)
        assert torch.allclose(flipping(image.flip(-1)), flipping(image).flip(-1), atol=1e-6)


def test_predictions_are_bgr_0_to_255_as_mmagic_has_them():
    model = editor()
    image = torch.randint(0, 256, (3, 20, 22), dtype=torch.uint8)
    sample = DataSample(gt_img=image, metainfo=dict(img_channel_order='rgb', gt_channel_order='rgb'))
    with torch.no_grad():
        result, = model.test_step(dict(inputs=[image], data_samples=[sample]))
        expected = (model(image[None] / 255.)[0] * 255).clamp(0, 255)
    assert torch.allclose(result.output.pred_img, expected[[2, 1, 0]], atol=1e-3)
    assert torch.equal(result.gt_img, image[[2, 1, 0]])


def test_loss_of_the_plain_baseline():
    model = editor()
    images, gt = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    losses = model(images, DataSample(gt_img=gt), mode='loss')
    assert set(losses) == {'loss_recon'}
    assert losses['loss_recon'] == model.pixel_loss(model.generator(images), gt)


@pytest.mark.parametrize('changes, message', [
    (dict(se_input='low'), "se_input='low'"),
    (dict(loss_input='x'), "loss_input='x'"),
    (dict(test_passes=3), 'test_passes=3'),
    (dict(test_cfg=dict(tta=True, temprature=0.5)), 'test_cfg has temprature, which SKFEditor does not take: choose from tta'),
    (dict(sch_loss=dict(type='SCHLoss')), 'sch_loss needs a semantic knowledge bank'),
    (dict(discriminator=dict(type='SADiscriminator')), 'sa_loss and discriminator go together'),
])
def test_what_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        editor(**changes)

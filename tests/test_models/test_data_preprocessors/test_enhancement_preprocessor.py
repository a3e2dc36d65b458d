import pytest
import torch
from mmagic import structures as mmagic_structures

from mmskf.registry import MODELS
from mmskf.structures import DataSample

SCOPES = dict(mmskf='mmskf.EnhancementPreprocessor', mmagic='mmagic.DataPreprocessor')
META = dict(img_channel_order='rgb', gt_channel_order='rgb')


def preprocessed(training, **images):
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1)
    preprocessor = MODELS.build(dict(type='EnhancementPreprocessor'))
    samples = [DataSample(metainfo=META, **{name: image.clone() for name in images})]
    data = preprocessor(dict(inputs=[image], data_samples=samples), training)
    assert preprocessor.data_keys == ['gt_img']
    return data['inputs'].flatten().tolist(), data['data_samples']


@pytest.mark.parametrize('training, expected', [(True, [0, 0.2, 1]), (False, [255, 51, 0])])
def test_with_ground_truth(training, expected):
    """In training RGB in [0, 1] like the image; in testing BGR in 0..255, as the metrics want it."""
    inputs, samples = preprocessed(training, gt_img=True)
    assert inputs == pytest.approx([0, 0.2, 1])
    assert samples.gt_img.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize('training', [True, False])
def test_without_ground_truth(training):
    inputs, samples = preprocessed(training)
    assert inputs == pytest.approx([0, 0.2, 1]) and 'gt_img' not in samples


@pytest.mark.parametrize('kind', [DataSample, mmagic_structures.DataSample])
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('order', ['rgb', 'bgr', None])
@pytest.mark.parametrize('options', [
    {}, dict(mean=[10., 20., 30.], std=[200., 220., 240.]), dict(output_channel_order='RGB'),
    dict(data_keys=['gt_img', 'other'])])
def test_same_tensors_as_mmagic_s(kind, training, order, options):
    """The batch that a model gets, and its images on their way back."""
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 3, 4, 5), dtype=torch.uint8)
    options = dict(dict(mean=[0.], std=[255.]), **options)
    results = []
    for scope, sample in (('mmskf', kind), ('mmagic', mmagic_structures.DataSample)):
        preprocessor = MODELS.build(dict(type=SCOPES[scope], **options))
        meta = {} if order is None else dict(img_channel_order=order, gt_channel_order=order, other_channel_order='rgb')
        samples = [sample(gt_img=gt.clone(), other=other.clone(), metainfo=meta) for gt, other in images[:, 1:]]
        data = preprocessor(dict(inputs=list(images[:, 0]), data_samples=samples), training)
        batch = data['data_samples']
        results.append((data['inputs'], batch.gt_img.float(), batch.other.float(),
                        preprocessor.destruct(data['inputs'] * 1.5 - 0.2, batch)))
    for ours, theirs in zip(*results):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_without_data_samples():
    data = MODELS.build(dict(type='EnhancementPreprocessor'))(dict(inputs=[torch.zeros(3, 2, 2)] * 2))
    assert len(data['data_samples']) == 2


@pytest.mark.parametrize('training, advice', [(True, 'Crop them by RandomCrop'), (False, 'Set batch_size=1')])
def test_images_of_several_sizes(training, advice):
    data = dict(inputs=[torch.zeros(3, 8, 12), torch.zeros(3, 9, 12)],
                data_samples=[DataSample(metainfo=dict(img_path=name)) for name in ('low/1.png', 'low/2.png')])
    with pytest.raises(ValueError, match=f'low/1.png is 12x8, low/2.png is 12x9. {advice}'):
        MODELS.build(dict(type='EnhancementPreprocessor'))(data, training)


def test_unknown_channel_order():
    with pytest.raises(ValueError, match="output_channel_order='GBR' of EnhancementPreprocessor: choose RGB, BGR or None"):
        MODELS.build(dict(type='EnhancementPreprocessor', output_channel_order='GBR'))

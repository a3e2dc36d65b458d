import pytest
import torch
from mmagic.structures import DataSample

from mmskf.registry import MODELS

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
def test_without_ground_truth(training, monkeypatch):
    log = []
    monkeypatch.setattr('mmagic.models.data_preprocessors.data_preprocessor.print_log', lambda *args, **kwargs: log.append(args))
    inputs, samples = preprocessed(training)
    assert inputs == pytest.approx([0, 0.2, 1]) and 'gt_img' not in samples and not log

import pytest
import torch
from mmagic import structures as mmagic_structures

from mmskf.structures import DataSample


def samples(kind):
    return [kind(gt_img=torch.full((3, 2, 2), float(number)), metainfo=dict(key=str(number), ori_img_shape=(2, 2, 3)))
            for number in range(3)]


def fields(sample):
    return {key: value.tolist() if isinstance(value, torch.Tensor) else value for key, value in sample.all_items()}


def test_stack_and_split_as_in_mmagic():
    ours, theirs = (kind.stack(samples(kind)) for kind in (DataSample, mmagic_structures.DataSample))
    assert fields(ours) == fields(theirs) and ours.metainfo == theirs.metainfo and len(ours) == len(theirs) == 3
    for one, other, before in zip(ours.split(), theirs.split(), samples(DataSample)):
        assert fields(one) == fields(other) == fields(before) and one.metainfo == other.metainfo


def test_results_are_nested():
    batch = DataSample.stack(samples(DataSample))
    for sample, output in zip(batch.split(), DataSample(pred_img=torch.ones(3, 3, 2, 2)).split()):
        sample.output = output
        assert sample.to_dict()['output']['pred_img'].shape == (3, 2, 2)


def test_samples_with_different_fields():
    with pytest.raises(ValueError, match='only some of them have gt_img'):
        DataSample.stack([DataSample(gt_img=torch.zeros(3, 2, 2)), DataSample()])

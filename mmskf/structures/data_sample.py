from collections.abc import Sequence
from itertools import chain

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor


class DataSample(BaseDataElement):
    """An image's ground truth, results and metadata, or those of a batch, as ``mmagic.structures.DataSample`` holds them.

    It has mmagic's fields and works with its evaluators, metrics, hooks and visualizers, but does not import it: importing any
    part of mmagic imports all its methods, which takes seconds.

    Attributes:
        gt_img (Tensor): Ground truth.
        pred_img (Tensor): A model's result.
        input (Tensor): The input of a model, for the visualizer.
        output (DataSample): Results.
    """

    @classmethod
    def stack(cls, data_samples: Sequence['DataSample']) -> 'DataSample':
        """The samples of a batch as one: tensors are stacked, everything else becomes a list.

        Raises:
            ValueError: If the samples have different fields.
        """
        first, batch = data_samples[0], cls()
        for sample in data_samples:
            if set(sample.all_keys()) != set(first.all_keys()):
                different = sorted(set(sample.all_keys()) ^ set(first.all_keys()))
                raise ValueError(f'The samples of a batch have different fields: only some of them have {", ".join(different)}')
        for name in first.all_keys():
            values = [sample.get(name) for sample in data_samples]
            batch.set_field(torch.stack(values) if isinstance(values[0], Tensor) else values, name,
                            field_type='metainfo' if name in first.metainfo_keys() else 'data')
        return batch

    def split(self) -> list['DataSample']:
        """The inverse of :meth:`stack`."""
        samples = [type(self)() for _ in range(len(self))]
        for name, values in self.all_items():
            for sample, value in zip(samples, values):
                sample.set_field(value, name, field_type='metainfo' if name in self.metainfo_keys() else 'data')
        return samples

    def __len__(self) -> int:
        """The number of samples in a batch."""
        return len(next(chain(self.values(), self.metainfo_values()), ()))

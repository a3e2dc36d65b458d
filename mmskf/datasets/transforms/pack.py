from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mmskf.registry import TRANSFORMS
from mmskf.structures import DataSample

META_KEYS = ('img_path', 'gt_path', 'ori_img_shape', 'ori_gt_shape', 'img_channel_order', 'gt_channel_order', 'img_color_type',
             'gt_color_type', 'sample_idx')


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """The last step of a pipeline: what a data preprocessor and an editor take, as ``mmagic.PackInputs`` makes it.

    Required Keys:

    - img: (H, W, C)
    - gt: (H, W, 3), if there is a ground truth

    Added Keys, in place of all others:

    - inputs: Tensor (C, H, W), of the same type
    - data_samples: :class:`DataSample` with ``gt_img`` (3, H, W), the file names, sizes and orders of channels

    Args:
        meta_keys (str or Sequence[str]): Further keys that become metadata. Defaults to none.
        data_keys (str or Sequence[str]): Further arrays that become tensors of the data sample. Defaults to none.
    """

    def __init__(self, meta_keys: str | Sequence[str] = (), data_keys: str | Sequence[str] = ()) -> None:
        self.meta_keys, self.data_keys = ((keys, ) if isinstance(keys, str) else tuple(keys) for keys in (meta_keys, data_keys))

    def transform(self, results: dict) -> dict:
        """Packs a sample."""
        sample = DataSample(metainfo={key: results[key] for key in (*META_KEYS, *self.meta_keys) if key in results})
        fields = dict(gt='gt_img') | {key: key for key in self.data_keys}
        sample.set_data({field: _to_tensor(results[key]) for key, field in fields.items() if key in results})
        return dict(inputs=_to_tensor(results['img']), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, data_keys={self.data_keys})'


def _to_tensor(image: np.ndarray | Tensor) -> Tensor:
    """An array (H, W) or (H, W, C) as a tensor (C, H, W); a tensor as it is."""
    if isinstance(image, Tensor):
        return image
    return torch.from_numpy(np.atleast_3d(image).transpose(2, 0, 1).copy())

from typing import Dict, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmagic.models.base_models import BaseEditModel
from mmagic.structures import DataSample
from torch import Tensor

from mmskf.registry import MODELS

IMAGE_CHOICES = ('lq', 'pred', 'gt')


def pad_to_multiple(image: Tensor, divisor: int) -> Tensor:
    """Pads (N, C, H, W) at the right and the bottom, mirrored where the image is large enough, to multiples of ``divisor``."""
    height, width = image.shape[-2:]
    bottom, right = -height % divisor, -width % divisor
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(image, (0, right, 0, bottom), mode) if bottom or right else image


@MODELS.register_module()
class SKFEditor(BaseEditModel):
    """Semantic-aware knowledge guidance (SKF, Fig. 2): an enhancement network, with or without a knowledge bank.

    Args:
        generator (dict): The enhancement network. Its attribute ``size_divisor`` says which sizes it takes.
        recon_loss (dict): The baseline's own loss, L_recon.
        data_preprocessor (dict, optional): Config of ``mmagic.DataPreprocessor``.
        train_cfg (dict, optional): Unused.
        test_cfg (dict, optional): ``tta=True`` averages the image over its four flips. Defaults to None.
        init_cfg (dict, optional): As in :class:`BaseModel`.
    """

    def __init__(self,
                 generator: dict,
                 recon_loss: dict,
                 data_preprocessor: Optional[dict] = None,
                 train_cfg: Optional[dict] = None,
                 test_cfg: Optional[dict] = None,
                 init_cfg: Optional[dict] = None):
        super().__init__(
            generator=dict(generator, _scope_='mmskf'),
            pixel_loss=dict(recon_loss, _scope_='mmskf'),
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
            data_preprocessor=data_preprocessor)

    def enhance(self, inputs: Tensor) -> Tensor:
        """Enhances images of any size: (N, 3, H, W) in [0, 1] -> (N, 3, H, W), unclamped."""
        height, width = inputs.shape[-2:]
        outputs = self.generator(pad_to_multiple(inputs, self.generator.size_divisor))
        image = outputs[0] if isinstance(outputs, tuple) else outputs
        return image[..., :height, :width]

    def forward_tensor(self, inputs: Tensor, data_samples: Optional[DataSample] = None) -> Tensor:
        """The enhanced images (N, 3, H, W), unclamped; the mean over four flips where ``test_cfg.tta`` is set."""
        flips = [(), (-1, ), (-2, ), (-2, -1)] if (self.test_cfg or {}).get('tta') else [()]
        images = [self.enhance(inputs.flip(axes)).flip(axes) for axes in flips]
        return torch.stack(images).mean(dim=0)

    def forward_train(self, inputs: Tensor, data_samples: Optional[DataSample] = None) -> Dict[str, Tensor]:
        """The loss terms of a batch of (N, 3, H, W) low-light images; ``data_samples.gt_img`` is the ground truth."""
        return dict(loss_recon=self.pixel_loss(self.generator(inputs), data_samples.gt_img))

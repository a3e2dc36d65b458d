"""The segmentation network of the paper: mmsegmentation's HRNet and FCN head, with options that match the HRNet authors' code.

Weights released by mmsegmentation need none of these options; weights released by the authors of HRNet (PASCAL-Context,
59 classes) need all of them, see ``configs/skb/hrnet_w48_pascal_context_official.py``.
"""
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import Sequential
from mmseg.models.backbones.hrnet import HRModule as MMSegHRModule
from mmseg.models.backbones.hrnet import HRNet as MMSegHRNet
from mmseg.models.decode_heads import FCNHead as MMSegFCNHead
from torch import Tensor, nn


class HRModule(MMSegHRModule):
    """mmsegmentation's HRModule with options for how low-resolution features are upsampled before they are summed.

    Args:
        resize_once (bool): Resize bilinearly straight to the target size. mmsegmentation upsamples by an integer factor and
            resizes the result again, which differs for odd sizes.
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.
        **kwargs: Arguments of mmsegmentation's HRModule.
    """

    def __init__(self, *, resize_once: bool, align_corners: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self.align_corners = align_corners
        for i, row in enumerate(self.fuse_layers):
            for j in range(i + 1, self.num_branches):
                if resize_once:
                    row[j] = row[j][:2]
                else:
                    row[j][2].align_corners = align_corners

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        """One feature map (N, C_i, h_i, w_i) per branch -> the same shapes, each fused from all branches."""
        x = [branch(feature) for branch, feature in zip(self.branches, x)]
        fused = []
        for i, row in enumerate(self.fuse_layers):
            total: Tensor | int = 0
            for j, feature in enumerate(x):
                if j != i:
                    feature = row[j](feature)
                if j > i:
                    feature = F.interpolate(feature, x[i].shape[2:], mode='bilinear', align_corners=self.align_corners)
                total = total + feature
            fused.append(self.relu(total))
        return fused


class HRNet(MMSegHRNet):
    """mmsegmentation's HRNet, or with both options the HRNet authors' network; same keys, same parameters.

    Args:
        resize_once (bool): See :class:`HRModule`. The authors: True. Defaults to False.
        align_corners (bool): For the bilinear resizes in the fuse layers. The authors: True. Defaults to False.
        **kwargs: Arguments of mmsegmentation's HRNet.

    Shape:
        (N, 3, H, W) -> (N, C_i, h_i, w_i) with strides 4, 8, 16 and 32, sizes rounded up at each halving.
    """

    def __init__(self, resize_once: bool = False, align_corners: bool = False, **kwargs: Any):
        self._fuse = dict(resize_once=resize_once, align_corners=align_corners)
        super().__init__(**kwargs)

    def _make_stage(self, layer_config: dict, in_channels: list[int],
                    multiscale_output: bool = True) -> tuple[Sequential, list[int]]:
        # mmsegmentation's method hard-codes its HRModule, so ours has to be inserted here.
        last = layer_config['num_modules'] - 1
        modules = [
            HRModule(
                num_branches=layer_config['num_branches'],
                blocks=self.blocks_dict[layer_config['block']],
                num_blocks=layer_config['num_blocks'],
                in_channels=in_channels,
                num_channels=layer_config['num_channels'],
                multiscale_output=multiscale_output or i < last,
                with_cp=self.with_cp,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                **self._fuse) for i in range(layer_config['num_modules'])
        ]
        return Sequential(*modules), in_channels


class FCNHead(MMSegFCNHead):
    """mmsegmentation's FCN head, or with both options (and ``align_corners=True``) the head of the HRNet authors.

    Args:
        conv_bias (bool): A bias in the convolution before the normalisation. The authors: True. Defaults to False.
        upsample_factor (int, optional): The class scores are upsampled by this whole factor, then cut to the image. The
            authors: 4. Defaults to None: they are resized to the image, which differs where a size is no multiple of 4.
        **kwargs: Arguments of mmsegmentation's FCNHead.
    """

    def __init__(self, conv_bias: bool = False, upsample_factor: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.upsample_factor = upsample_factor
        if conv_bias:
            conv = self.convs[0].conv
            conv.bias = nn.Parameter(torch.zeros(conv.out_channels))

    def predict_by_feat(self, seg_logits: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Class scores (N, classes, h, w) of the head -> (N, classes, H, W), at image size."""
        if self.upsample_factor is None:
            return super().predict_by_feat(seg_logits, batch_img_metas)
        size = [self.upsample_factor * length for length in seg_logits.shape[2:]]
        full = F.interpolate(seg_logits, size, mode='bilinear', align_corners=self.align_corners)
        height, width = batch_img_metas[0]['img_shape'][:2]
        return full[..., :height, :width]

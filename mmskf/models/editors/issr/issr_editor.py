from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mmskf.models.skb.class_names import class_names
from mmskf.registry import MODELS
from mmskf.structures import Prior, Segmentation

from ..enhancement_editor import Outputs
from ..kind import KinDEditor


@MODELS.register_module()
class ISSREditor(KinDEditor):
    """Trains and tests ISSR, whose segmentation is trained on label maps; a knowledge bank makes them from the ground truth.

    The authors' label maps are not public. The bank is needed for training only.

    Args:
        class_groups (Sequence[Sequence[str]]): Names of the bank's classes that are merged to one class of the segmentation, for
            each class but the last, which gets all others. :func:`class_names` lists the names; so does ``mmskf info``.
        **kwargs: See :class:`StagedEditor`.

    Raises:
        ValueError: If there are not as many groups as the generator has classes, less one, or the knowledge bank has no classes;
            in the first iteration of a training, if there is no bank, or it has no class of a name.
    """
    needs_labels = True

    def __init__(self, generator: dict, recon_loss: dict, class_groups: Sequence[Sequence[str]], **kwargs: Any):
        super().__init__(generator, recon_loss, **kwargs)
        self.class_groups = class_groups
        classes = self.generator.segment.head[-1].out_channels
        if len(class_groups) != classes - 1:
            raise ValueError(f'model.class_groups has {len(class_groups)} groups, but the segmentation has {classes} classes: '
                             f'give {classes - 1}; all other classes of the knowledge bank form the last one')
        if self.skb is not None and not self.skb.num_classes:
            raise ValueError(f'ISSR is trained on label maps, but the knowledge bank, {self.skb.label}, has features only: set '
                             'model.skb to a bank with a segmentation head')

    @cached_property
    def merged(self) -> Tensor:
        """Class of the knowledge bank -> class of the segmentation: (classes of the bank, ), int64."""
        if self.skb is None:
            raise ValueError('ISSR is trained on label maps, which a knowledge bank makes: add one of configs/skb to _base_, or '
                             'set model.skb')
        names = class_names(self.skb)
        merged = torch.full((len(names), ), len(self.class_groups))
        for number, group in enumerate(self.class_groups):
            for name in group:
                if name not in names:
                    raise ValueError(f'model.class_groups has the class {name!r}, but the knowledge bank, {self.skb.label}, has '
                                     f'none of this name: choose from {", ".join(names)}')
                merged[names.index(name)] = number
        return merged

    def label_map(self, image: Tensor) -> Tensor:
        """The label map of images, from the knowledge bank: (N, 3, H, W) in [0, 1] -> (N, H, W), int64."""
        assert self.skb is not None  # or there would be no table
        with torch.no_grad():
            return self.merged.to(image.device)[self.skb(image).labels]

    def generate(self, inputs: Tensor, prior: Prior, gt: Tensor | None = None, **maps: Tensor) -> Outputs:
        """Calls the generator; in training, for the current stage, and adds the labels where they are needed."""
        if self.training:
            _ = self.merged  # A wrong table stops a training at once, not when the stage begins that needs it.
        outputs = super().generate(inputs, prior, gt, **maps)
        if isinstance(outputs, Segmentation):
            assert gt is not None
            return outputs._replace(labels=self.label_map(gt))
        return outputs

from typing import Any

import torch

from mmskf.registry import MODELS

from .enhancement_preprocessor import EnhancementPreprocessor


@MODELS.register_module()
class MixUpPreprocessor(EnhancementPreprocessor):
    """Mixes images in training: MixUp (Zhang et al., ICLR 2018), as used to train MIRNet-v2 and Retinexformer.

    Each image of a training batch is blended with another one of the batch, low-light image and ground truth alike, with one
    weight for the whole batch.

    Args:
        probability (float): Fraction of the batches that are mixed. Defaults to 0.5.
        beta (float): The weight is drawn from Beta(beta, beta). Defaults to 1.2.
        **kwargs: As in :class:`EnhancementPreprocessor`.

    Raises:
        ValueError: If ``probability`` is not in [0, 1], or ``beta`` is not positive.
    """

    def __init__(self, probability: float = 0.5, beta: float = 1.2, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= probability <= 1 or beta <= 0:
            raise ValueError(f'MixUpPreprocessor has probability={probability!r} and beta={beta!r}: choose a probability from 0 '
                             'to 1, and a beta above 0')
        self.probability, self.beta = probability, beta

    def forward(self, data: dict, training: bool = False) -> dict:
        """Stacks and normalizes a batch, and applies MixUp in training."""
        data = super().forward(data, training)
        if training and torch.rand(()) < self.probability:
            weight = torch.distributions.Beta(self.beta, self.beta).sample().item()
            inputs, gt = data['inputs'], data['data_samples'].gt_img
            partners = torch.randperm(len(inputs), device=inputs.device)
            data['inputs'] = torch.lerp(inputs[partners], inputs, weight)
            data['data_samples'].gt_img = torch.lerp(gt[partners], gt, weight)
        return data

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import SemanticPrior

from .knowledge_bank import KnowledgeBank


@MODELS.register_module()
class BankDistiller(BaseModel):
    """Teaches a knowledge bank to see in the dark, without labels.

    Two copies of a bank: the teacher stays as it is and sees the normal-light image of a pair. The student starts from the same
    weights and learns to give the teacher's prior for the low-light image, and to keep it for the normal-light one. The loss of
    a view is the mean over the levels of 1 - cosine similarity of the features, plus the Kullback-Leibler divergence of the
    semantic maps, if the bank has one.

    Args:
        skb (dict): Config of the :class:`KnowledgeBank`.
        keep_weight (float): Weight of the loss for the normal-light view. Defaults to 0.5.
        data_preprocessor (dict, optional): As in :class:`EnhancementEditor`.

    Note:
        BatchNorms stay in eval mode with the teacher's statistics: a bank is used with them. A checkpoint contains the student as
        ``network.*``; tools/model_converters/publish_model.py makes the weights of a bank from it.
    """

    def __init__(self, skb: dict, keep_weight: float = 0.5, data_preprocessor: dict | None = None):
        super().__init__(data_preprocessor or dict(type='mmskf.EnhancementPreprocessor'))
        self.teacher: KnowledgeBank = MODELS.build(skb)
        self.student: KnowledgeBank = MODELS.build(skb)
        self.network: nn.Module = self.student.network.requires_grad_(True)  # a submodule of its own: trained, saved, resumed
        self.keep_weight = keep_weight

    def init_weights(self) -> None:
        """Both start from the bank's weights."""
        for bank in (self.teacher, self.student):
            bank.load()

    def train(self, mode: bool = True) -> 'BankDistiller':
        """Trains the weights; the BatchNorms stay in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor') -> dict[str, Tensor] | SemanticPrior:
        """The loss terms of a batch of pairs, or the student's prior.

        Args:
            inputs (Tensor): Low-light images (N, 3, H, W), RGB in [0, 1].
            data_samples (DataSample): With ``gt_img``, the normal-light images (N, 3, H, W). Only for the loss.
            mode (str): 'loss' or 'tensor'.
        """
        if mode == 'tensor':
            return self.student(inputs)
        with torch.no_grad():
            target = self.teacher(data_samples.gt_img)
        return dict(
            loss_dark=distance(self.student(inputs), target),
            loss_keep=self.keep_weight * distance(self.student(data_samples.gt_img), target))


def distance(prior: SemanticPrior, target: SemanticPrior) -> Tensor:
    """Mean over the levels of 1 - cosine similarity per pixel, plus KL(target || prior) of the semantic maps, per pixel."""
    levels = [1 - F.cosine_similarity(feature, goal, dim=1).mean() for feature, goal in zip(prior.features, target.features)]
    loss = torch.stack(levels).mean()
    if prior.logits is None or target.logits is None:
        return loss
    divergence = F.kl_div(prior.logits.log_softmax(1), target.logits.log_softmax(1), log_target=True, reduction='none')
    return loss + divergence.sum(dim=1).mean()

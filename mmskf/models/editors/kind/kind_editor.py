from torch import Tensor

from mmskf.registry import MODELS
from mmskf.structures import DataSample

from ..staged_editor import StagedEditor


@MODELS.register_module()
class KinDEditor(StagedEditor):
    """Trains and tests KinD and KinD++, for which every image is stretched to the full range.

    The pipeline does that (:class:`StretchRange`), except for the ground truth in testing, which is scored against unchanged.
    See :class:`StagedEditor`.
    """

    @classmethod
    def ground_truth(cls, data_samples: DataSample | None) -> Tensor:
        """The ground truth of a test batch (N, 3, H, W), stretched."""
        gt = super().ground_truth(data_samples)
        low, high = gt.amin(dim=(1, 2, 3), keepdim=True), gt.amax(dim=(1, 2, 3), keepdim=True)
        return (gt - low) / (high - low).clamp(min=1e-3)

from typing import Any

from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.structures import DataSample

from mmskf.registry import MODELS


@MODELS.register_module()
class EnhancementPreprocessor(DataPreprocessor):
    """mmagic's data preprocessor, for images with or without ground truth: mmagic's warns about each that has none.

    Args:
        mean, std, ...: As in ``mmagic.DataPreprocessor``; by default 8-bit images are scaled to [0, 1].
    """
    data_keys: list[str] | None

    def __init__(self, mean: Any = (0., ), std: Any = (255., ), **kwargs: Any):
        super().__init__(mean=list(mean), std=list(std), **kwargs)

    def _preprocess_data_sample(self, data_samples: list[DataSample], training: bool) -> DataSample | list[DataSample]:
        known = self.data_keys
        self.data_keys = [key for key in known or [] if key in data_samples[0]]
        try:
            return super()._preprocess_data_sample(data_samples, training)
        finally:
            self.data_keys = known

from collections.abc import Sequence
from typing import Any

from mmagic.evaluation import Evaluator as BaseEvaluator
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement

from mmskf.registry import EVALUATOR


# mmagic's loops build a plain list of metrics as type 'Evaluator', which has to be this one, not mmengine's.
@EVALUATOR.register_module()
class Evaluator(BaseEvaluator):
    """mmagic's evaluator, for data samples of mmskf as well as mmagic's own."""

    def process(self, data_samples: Sequence[BaseDataElement], data_batch: Any, metrics: Sequence[BaseMetric]) -> None:
        """Hands a batch of results to metrics, as dicts.

        Args:
            data_samples (Sequence[BaseDataElement]): The results.
            data_batch (Any): What the data loader yielded.
            metrics (Sequence[BaseMetric]): The metrics.
        """
        super().process([sample.to_dict() for sample in data_samples], data_batch, metrics)

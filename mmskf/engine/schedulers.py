from typing import Any

from mmengine.optim import ReduceOnPlateauLR as BaseReduceOnPlateauLR

from mmskf.evaluation import GREATER_IS_BETTER, is_nan
from mmskf.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(BaseReduceOnPlateauLR):
    """mmengine's: lowers the learning rate when a score has stopped improving. It acts after each validation.

    A score that could not be measured counts neither as better nor as worse.

    Args:
        monitor (str): Name of the score, such as 'PSNR'.
        rule (str, optional): 'greater' or 'less', whichever is better. Defaults to None: known for the metrics of mmskf and
            mmagic, else 'less'.
        **kwargs: See ``mmengine.optim.ReduceOnPlateauLR``.

    Raises:
        KeyError: After the first validation, if there is no such score.
    """

    def __init__(self, *args: Any, monitor: str, rule: str | None = None, **kwargs: Any):
        if rule is None:
            rule = 'greater' if any(key.lower() in monitor.lower() for key in GREATER_IS_BETTER) else 'less'
        super().__init__(*args, monitor=monitor, rule=rule, **kwargs)

    def step(self, metrics: dict[str, float] | None = None) -> None:
        """Takes the scores of a validation; without scores it only counts."""
        if metrics is not None and self.monitor not in metrics:
            raise KeyError(f'param_scheduler: the validation has no score {self.monitor!r}, only '
                           f'{", ".join(map(repr, metrics))}: name one of these as monitor')
        if metrics is None or not is_nan(metrics[self.monitor]):
            super().step(metrics)

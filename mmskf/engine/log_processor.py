from mmengine.runner import LogProcessor as BaseLogProcessor
from mmengine.runner import Runner

from mmskf.evaluation import NOT_MEASURED, is_nan
from mmskf.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class LogProcessor(BaseLogProcessor):
    """mmengine's, which logs a score that could not be measured as 'not measured'; among the scalars it is NaN, with a note.

    Args:
        **kwargs: See ``mmengine.runner.LogProcessor``.
    """

    def get_log_after_epoch(self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False) -> tuple[dict, str]:
        """As mmengine's, with NaN spelled out in the line, and as 'note' in the scalars."""
        tag, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        missing = [name for name, value in tag.items() if is_nan(value)]
        for name in missing:
            line = line.replace(f'{name}: nan', f'{name}: {NOT_MEASURED}')
        if missing:
            tag['note'] = f'{NOT_MEASURED}: {", ".join(missing)}'
        return tag, line

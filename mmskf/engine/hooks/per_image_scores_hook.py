import csv
import re
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner

from mmskf.evaluation import NOT_MEASURED, ImageMetric, is_nan
from mmskf.registry import HOOKS
from mmskf.utils.files import atomic_open, check_destination

from .image_names import names_below_common_folder


@HOOKS.register_module()
class PerImageScoresHook(Hook):
    """Writes the scores of every image to a CSV file after a test.

    One row per image in natural order, named by its path below the folder that contains them all; one column per score of the
    loop's :class:`~mmskf.evaluation.ImageMetric` (PSNR, SSIM, LPIPS, NIQE, GTMean), under the name used in the report; the last
    row, 'mean', is the report. A score that could not be measured is 'not measured'; a cell is empty if a data set is not
    evaluated by that metric. mmagic's own metrics keep no image names and are not in the file.

    Args:
        out_file (str or Path): The CSV file; its folder is created. An existing file is replaced.
        val (bool): Whether to write one file per validation as well, with the iteration in its name ('scores_iter_1000.csv').
            Defaults to False.

    Raises:
        OSError: Before the test, if the file cannot be written.
    """

    def __init__(self, out_file: str | Path, val: bool = False) -> None:
        self.out_file = Path(out_file)
        self.val = val

    @master_only
    def before_run(self, runner: Runner) -> None:
        """Checks that the file can be written, before the work."""
        check_destination(self.out_file)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Writes the file of a test."""
        self._write(runner.test_loop, metrics, self.out_file)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Writes the file of a validation."""
        if self.val:
            self._write(runner.val_loop, metrics,
                        self.out_file.with_name(f'{self.out_file.stem}_iter_{runner.iter}{self.out_file.suffix}'))

    @master_only
    def _write(self, loop: BaseLoop, means: dict, out_file: Path) -> None:
        columns: list[str] = []
        rows: dict[str, dict[str, float | None]] = {}
        for evaluator in loop.evaluators:
            for metric in evaluator.metrics or []:
                if not isinstance(metric, ImageMetric):
                    continue
                for path, scores in metric.image_scores.items():
                    for name, score in scores.items():
                        column = f'{metric.prefix}/{name}' if metric.prefix else name
                        if column not in columns:
                            columns.append(column)
                        rows.setdefault(path, {})[column] = score
        with atomic_open(out_file, 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['image', *columns])
            for path, name in sorted(names_below_common_folder(rows).items(), key=_natural_order):
                writer.writerow([name, *(_cell(rows[path].get(column, '')) for column in columns)])
            writer.writerow(['mean', *(_cell(means[column]) for column in columns)])


def _natural_order(item: tuple[str, str]) -> list[int | str]:
    return [int(part) if part.isdecimal() else part for part in re.split('([0-9]+)', item[1])]


def _cell(score: float | str | None) -> str:
    if score is None or is_nan(score):
        return NOT_MEASURED
    return score if isinstance(score, str) else f'{score:.6f}'

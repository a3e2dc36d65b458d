"""Tables of results, as Markdown and CSV."""
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .files import atomic_open


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    return ''.join(map(markdown_row, (header, ['---'] * len(header), *rows)))


def markdown_row(cells: Iterable[Any]) -> str:
    """A line of a table in Markdown, for tables that are printed line by line."""
    return f'| {" | ".join(map(str, cells))} |\n'


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table as CSV, completely or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_open(path, 'w', newline='') as file:
        csv.writer(file).writerows([header, *rows])

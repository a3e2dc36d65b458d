"""Tables of results, as Markdown and CSV."""
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .files import atomic_open


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    return ''.join(f'| {" | ".join(map(str, line))} |\n' for line in (header, ['---'] * len(header), *rows))


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table as CSV, completely or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_open(path, 'w', newline='') as file:
        csv.writer(file).writerows([header, *rows])

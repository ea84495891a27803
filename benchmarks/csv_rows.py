"""The tables of ``benchmarks/results``: rows of one file, written, read, and replaced by those of a newer run."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """As CSV; a column for each key of any row, in order of appearance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def merge_rows(path: Path, rows: Sequence[Mapping[str, object]], keys: Sequence[str]) -> None:
    """Write the rows in place of those with the same values of ``keys``; others stay."""
    new = {tuple(str(row[k]) for k in keys) for row in rows}
    kept = [row for row in read_rows(path) if tuple(row[k] for k in keys) not in new]
    write_rows(path, [*kept, *rows])

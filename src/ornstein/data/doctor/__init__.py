"""Checks of data before they are trained on: one file each, ``check(data) -> Finding``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ornstein.core.errors import DataError, UsageError
from ornstein.core.finding import Finding, error, ok
from ornstein.data.dataset import Images, Table
from ornstein.data.doctor import constant, duplicates, empty, labels, numbers, values
from ornstein.data.open import open_data, open_table


def examine(table: Table) -> Iterator[Finding]:
    """Every check of data of this kind, in turn."""
    if isinstance(table, Images):
        yield values.check(table)
        yield empty.check(table)
    else:
        yield numbers.check(table)
        yield constant.check(table)
    yield duplicates.check(table)
    yield labels.check(table)


def opened(what: str | Path | Table, size: int | None = None) -> tuple[Table | None, Finding]:
    """The data, and whether they could be opened: values or labels out of range and unreadable files end here.

    With ``size`` they must be images, and are brought to it.
    """
    try:
        table = open_table(what) if size is None else open_data(what, size=size)
    except (DataError, UsageError) as e:
        fault, _, remedy = str(e).rpartition("; ")
        return None, error("opens", fault or str(e), remedy if fault else "mend the data")
    shape, classes = " x ".join(map(str, table.x.shape[1:])), len(table.classes) or "no"
    return table, ok("opens", f"{len(table)} {table.kind} of {shape}, {classes} classes")

"""Checks of data before they are trained on: one file each, ``check(images) -> Finding``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ornstein.core.errors import DataError
from ornstein.core.finding import Finding, error, ok
from ornstein.data.dataset import Images
from ornstein.data.doctor import duplicates, empty, labels, values
from ornstein.data.open import open_data

CHECKS: tuple[Callable[[Images], Finding], ...] = (values.check, empty.check, duplicates.check, labels.check)


def examine(images: Images) -> Iterator[Finding]:
    """Every check of data, in turn."""
    for check in CHECKS:
        yield check(images)


def opened(what: str | Path | Images, size: int | None = None) -> tuple[Images | None, Finding]:
    """The data, and whether they could be opened: values or labels out of range and unreadable files end here."""
    try:
        images = open_data(what, size=size)
    except DataError as e:
        fault, _, remedy = str(e).rpartition("; ")
        return None, error("opens", fault or str(e), remedy if fault else "mend the data")
    c, h, w = images.shape
    return images, ok("opens", f"{len(images)} images of {c} x {h} x {w}, {len(images.classes) or 'no'} classes")

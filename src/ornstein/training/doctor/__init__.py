"""Checks of a run by its files: one file each, ``check(run) -> Finding``; and what watches a run while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from ornstein.core.finding import Finding
from ornstein.training.doctor import averages, falling, finite, gradient, whole

CHECKS: tuple[Callable[[Path], Finding], ...] = (
    whole.check,
    finite.check,
    gradient.check,
    falling.check,
    averages.check,
)


def examine(run: Path) -> Iterator[Finding]:
    """Every check of a run's files, in turn."""
    for check in CHECKS:
        yield check(run)

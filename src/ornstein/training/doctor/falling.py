"""Has the loss of the run fallen?"""

from __future__ import annotations

from pathlib import Path

from ornstein.core.finding import Finding, ok, warning
from ornstein.training.metrics import read_metrics

RECORDS = 8
"""Fewer say nothing."""


def check(run: Path) -> Finding:
    """The mean of the last quarter of the records against that of the first quarter."""
    losses = [r["loss"] for r in read_metrics(run) if "loss" in r]
    if len(losses) < RECORDS:
        return ok("loss of the run", f"{len(losses)} records, too few to judge")
    n = len(losses) // 4
    first, last = sum(losses[:n]) / n, sum(losses[-n:]) / n
    text = f"{first:.4g} in the first quarter of the run, {last:.4g} in the last"
    if last > first:
        return warning(
            "loss of the run",
            f"risen: {text}",
            "lower lr, or go on training: the noise of few steps can do this; players that play against each other may, too",
        )
    return ok("loss of the run", text)

"""Do the labels fit the classes?"""

from __future__ import annotations

import numpy as np

from ornstein.core.finding import Finding, error, ok, warning
from ornstein.data.dataset import Table

RARE = 0.05
"""A class with less than this part of the mean class is rare."""


def check(table: Table) -> Finding:
    """Classes without samples, rare classes, samples without a label. Labels beyond the classes do not even open."""
    if table.labels is None:
        return ok("labels", "none, so training is unconditional")
    counts = np.bincount(table.labels[table.labels >= 0], minlength=len(table.classes))
    bare = [c for c, n in zip(table.classes, counts.tolist(), strict=True) if n == 0]
    if len(bare) == len(table.classes):
        return error("labels", "no sample has a label", "give labels, or leave out the classes")
    if bare:
        return warning(
            "labels",
            f"{len(bare)} of {len(table.classes)} classes have no sample: {_some(bare)}",
            "leave these classes out: what the model draws for them means nothing",
        )
    rare = [c for c, n in zip(table.classes, counts.tolist(), strict=True) if n < RARE * counts.mean()]
    if rare:
        return warning(
            "labels",
            f"{len(rare)} of {len(table.classes)} classes have fewer than {RARE:.0%} of the mean class's samples: {_some(rare)}",
            "add samples of them, or expect them to be drawn badly",
        )
    missing = int((table.labels < 0).sum())
    note = f", {missing} samples without a label" if missing else ""
    return ok("labels", f"{len(table.classes)} classes of {counts.min()} to {counts.max()} samples{note}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
